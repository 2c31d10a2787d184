defmodule Bench.Peer.GenServer do
  # A GenServer whose state is two maps of MapSets. A read of many keys is one call.
  @behaviour Bench.Peer
  use GenServer

  @impl Bench.Peer
  def available, do: :ok

  @impl Bench.Peer
  def start(_type) do
    {:ok, server} = GenServer.start_link(__MODULE__, nil)
    server
  end

  @impl Bench.Peer
  def stop(server), do: GenServer.stop(server, :normal, :infinity)

  @impl Bench.Peer
  def insert_all(server, pairs), do: call(server, {:insert_all, pairs})

  @impl Bench.Peer
  def insert(server, a, b), do: call(server, {:insert_all, [{a, b}]})

  @impl Bench.Peer
  def member?(server, a, b), do: call(server, {:member?, a, b})

  @impl Bench.Peer
  def fwd(server, a), do: call(server, {:fwd, a})

  @impl Bench.Peer
  def bwd(server, b), do: call(server, {:bwd, b})

  @impl Bench.Peer
  def fwd_many(server, keys), do: call(server, {:fwd_many, keys})

  @impl Bench.Peer
  def count(server), do: call(server, :count)

  # What is left of its heap by a collection.
  @impl Bench.Peer
  def bytes(server) do
    :erlang.garbage_collect(server)
    {:memory, bytes} = Process.info(server, :memory)
    bytes
  end

  @impl Bench.Peer
  def steal_all(server, pairs), do: call(server, {:steal_all, pairs})

  @impl Bench.Peer
  def holder(server), do: server

  defp call(server, request), do: GenServer.call(server, request, :infinity)

  @impl GenServer
  def init(nil), do: {:ok, {%{}, %{}}}

  @impl GenServer
  def handle_call({:member?, a, b}, _from, {fwd, _bwd} = state) do
    {:reply, is_map_key(fwd, a) and MapSet.member?(Map.fetch!(fwd, a), b), state}
  end

  def handle_call({:fwd, a}, _from, {fwd, _bwd} = state), do: {:reply, partners(fwd, a), state}
  def handle_call({:bwd, b}, _from, {_fwd, bwd} = state), do: {:reply, partners(bwd, b), state}

  def handle_call({:fwd_many, keys}, _from, {fwd, _bwd} = state) do
    {:reply, for(key <- keys, do: partners(fwd, key)), state}
  end

  def handle_call(:count, _from, {fwd, _bwd} = state) do
    {:reply, fwd |> Enum.map(fn {_key, set} -> MapSet.size(set) end) |> Enum.sum(), state}
  end

  def handle_call({:insert_all, pairs}, _from, state) do
    {:reply, :ok, Enum.reduce(pairs, state, &add/2)}
  end

  def handle_call({:steal_all, pairs}, _from, state) do
    {:reply, :ok, Enum.reduce(pairs, state, &steal/2)}
  end

  defp partners(map, key) do
    case map do
      %{^key => set} -> MapSet.to_list(set)
      _none -> []
    end
  end

  defp add({a, b}, {fwd, bwd}), do: {add(fwd, a, b), add(bwd, b, a)}

  defp add(map, key, partner) do
    case map do
      %{^key => set} -> %{map | key => MapSet.put(set, partner)}
      _none -> Map.put(map, key, MapSet.new([partner]))
    end
  end

  defp steal({owner, item}, {fwd, bwd}) do
    fwd =
      for old <- partners(bwd, item), reduce: fwd do
        fwd -> Map.update!(fwd, old, &MapSet.delete(&1, item))
      end

    {add(fwd, owner, item), Map.put(bwd, item, MapSet.new([owner]))}
  end
end
