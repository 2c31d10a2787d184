defmodule Bench.Peer.Digraph do
  # `:digraph`. Only the process that made one may change it, so an agent owns it; its
  # tables are read by everybody. An edge is named by its ends: without a name a pair
  # that is there already would become a second edge.
  @behaviour Bench.Peer

  @impl true
  def available, do: :ok

  @impl true
  def start(_type) do
    {:ok, agent} = Agent.start_link(fn -> :digraph.new() end)
    %{agent: agent, graph: Agent.get(agent, & &1)}
  end

  @impl true
  def stop(%{agent: agent}), do: Agent.stop(agent, :normal, :infinity)

  @impl true
  def insert_all(%{agent: agent}, pairs) do
    Agent.update(
      agent,
      fn graph ->
        for {a, b} <- pairs, do: add(graph, a, b)
        graph
      end,
      :infinity
    )
  end

  @impl true
  def insert(instance, a, b), do: insert_all(instance, [{a, b}])

  defp add(graph, a, b) do
    :digraph.add_vertex(graph, a)
    :digraph.add_vertex(graph, b)
    edge = {a, b}
    ^edge = :digraph.add_edge(graph, edge, a, b, [])
  end

  @impl true
  def member?(%{graph: graph}, a, b), do: :digraph.edge(graph, {a, b}) != false

  @impl true
  def fwd(%{graph: graph}, a), do: :digraph.out_neighbours(graph, a)

  @impl true
  def bwd(%{graph: graph}, b), do: :digraph.in_neighbours(graph, b)

  @impl true
  def count(%{graph: graph}), do: :digraph.no_edges(graph)

  # It says how many words.
  @impl true
  def bytes(%{graph: graph}) do
    {:memory, words} = graph |> :digraph.info() |> List.keyfind(:memory, 0)
    words * :erlang.system_info(:wordsize)
  end

  @impl true
  def steal_all(%{agent: agent}, pairs) do
    Agent.update(
      agent,
      fn graph ->
        for {owner, item} <- pairs do
          for {old, _item} = edge <- :digraph.in_edges(graph, item), old != owner do
            :digraph.del_edge(graph, edge)
          end

          add(graph, owner, item)
        end

        graph
      end,
      :infinity
    )
  end
end
