defmodule Bench.Peer.Rhizome do
  # The store itself, by the functions that its users call.
  @behaviour Bench.Peer

  alias Rhizome.Graph

  @impl true
  def available, do: :ok

  @impl true
  def start(type) do
    {:ok, store} = Rhizome.start_link()
    %{os_pid: os_pid} = Rhizome.info(store)

    %{
      store: store,
      table: Rhizome.create_table!(store, :bench, type),
      os_pid: os_pid,
      before: Bench.resident(os_pid)
    }
  end

  @impl true
  def stop(%{store: store}), do: Rhizome.stop(store)

  @impl true
  def insert_all(%{table: table}, pairs), do: Rhizome.insert_all!(table, pairs)

  @impl true
  def insert(%{table: table}, a, b), do: Rhizome.put!(table, a, b)

  @impl true
  def member?(%{table: table}, a, b), do: Rhizome.member?(table, {a, b})

  @impl true
  def fwd(%{table: table}, a), do: table |> Rhizome.fwd(a) |> Rhizome.to_list()

  @impl true
  def bwd(%{table: table}, b), do: table |> Rhizome.bwd(b) |> Rhizome.to_list()

  @impl true
  def count(%{table: table}), do: Rhizome.count(table)

  @impl true
  def bytes(%{os_pid: os_pid, before: before}), do: Bench.resident(os_pid) - before

  @impl true
  def steal_all(%{table: table}, pairs), do: Rhizome.insert_all!(table, pairs)

  @impl true
  def page(%{table: table}, position, amount), do: Rhizome.slice(table, position, amount)

  @impl true
  def two_hop(%{table: table}, start), do: Graph.k_hop(table, [start], 2)

  @impl true
  def reached(%{table: table}, start) do
    {:ok, figures} = Graph.Algorithms.bfs(table, source: start, mode: :summary)
    figures.reached
  end

  @impl true
  def holder(%{store: store}), do: store
end
