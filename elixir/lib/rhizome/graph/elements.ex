defmodule Rhizome.Graph.Elements do
  @moduledoc false
  # A graph as a sequence of its elements: its vertices in the order in which they came, and
  # then its edges.

  alias Rhizome.{Batch, Graph, Table}

  @spec stream(Table.t()) :: Enumerable.t()
  def stream(graph), do: Stream.concat(Graph.vertex_elements(graph), Graph.edges(graph))

  @spec count(Table.t()) :: non_neg_integer()
  def count(graph) do
    %{vertices: vertices, edges: edges} = Rhizome.table_info(graph)
    vertices + edges
  end

  @spec member?(Table.t(), term()) :: boolean()
  def member?(graph, {:vertex, vertex, value, labels}) when is_list(labels) do
    case Graph.get_vertex(graph, vertex) do
      {:vertex, _vertex, ^value, found} -> Enum.sort(found) === Enum.sort(labels)
      _another -> false
    end
  end

  def member?(graph, {:edge, from, to, label, value}) do
    match?({:edge, _, _, _, ^value}, Graph.get_edge(graph, from, to, label: label))
  end

  def member?(_graph, _other), do: false

  # Puts them in their order, in one request. An element that is a tuple of its kind is
  # meant as one: a vertex that looks like one goes in as {:vertex, vertex, nil, []}.
  @spec put!(Table.t(), [Graph.element()]) :: :ok
  def put!(graph, elements) do
    Rhizome.run!(graph.store, batch(graph, elements))
    :ok
  end

  @spec batch(Table.t(), [Graph.element()]) :: Batch.t()
  def batch(graph, elements) do
    elements
    |> Enum.chunk_by(&kind!/1)
    |> Enum.reduce(Batch.new(), fn
      [{:vertex, _, _, _} | _more] = vertices, batch ->
        Batch.put_vertices(batch, graph, vertices)

      edges, batch ->
        Batch.put_edges(batch, graph, edges)
    end)
  end

  defp kind!({:vertex, _vertex, _value, labels}) when is_list(labels), do: :vertex
  defp kind!({:edge, _from, _to, _label, _value}), do: :edge

  defp kind!(other) do
    raise ArgumentError,
          "an element of a graph is {:vertex, vertex, value, labels} or " <>
            "{:edge, from, to, label, value}, got: #{inspect(other)}"
  end
end
