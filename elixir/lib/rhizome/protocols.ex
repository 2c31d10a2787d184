# Views and tables in the protocols of the standard library. A table is its
# fwd side, and a graph is its vertices and then its edges.

for module <- [Rhizome.Table, Rhizome.View] do
  defimpl Enumerable, for: module do
    alias Rhizome.Graph.Elements

    def count(%{type: :graph} = graph), do: {:ok, Elements.count(graph)}
    def count(view), do: {:ok, Rhizome.count(view)}

    def member?(%{type: :graph} = graph, element), do: {:ok, Elements.member?(graph, element)}

    def member?(view, element) do
      {:ok,
       Rhizome.View.element?(Rhizome.View.of(view), element) and Rhizome.member?(view, element)}
    end

    # Vertices and edges have no positions.
    def slice(%{type: :graph}), do: {:error, __MODULE__}

    # A slice is asked for by position, in one request if it fits a page.
    def slice(view) do
      {:ok, Rhizome.count(view),
       fn start, length, step ->
         view
         |> Rhizome.to_list(position: start, limit: (length - 1) * step + 1)
         |> Enum.take_every(step)
       end}
    end

    def reduce(%{type: :graph} = graph, acc, fun) do
      Enumerable.reduce(Elements.stream(graph), acc, fun)
    end

    def reduce(view, acc, fun), do: Enumerable.reduce(Rhizome.stream(view), acc, fun)
  end

  defimpl Collectable, for: module do
    @chunk 1_000

    # A halt leaves what was written before it, as with any process.
    def into(view) do
      collector = fn
        {count, elements}, {:cont, element} when count + 1 < @chunk ->
          {count + 1, [element | elements]}

        {_count, elements}, {:cont, element} ->
          write(view, [element | elements])
          {0, []}

        {_count, elements}, :done ->
          write(view, elements)
          view

        _acc, :halt ->
          :ok
      end

      {{0, []}, collector}
    end

    defp write(_view, []), do: :ok

    defp write(%{type: :pom} = view, values) do
      Rhizome.insert_rows!(view, Enum.reverse(values))
    end

    defp write(%{type: :graph} = graph, elements) do
      Rhizome.Graph.Elements.put!(graph, Enum.reverse(elements))
    end

    defp write(view, elements), do: Rhizome.insert_all!(view, Enum.reverse(elements))
  end
end

defimpl Inspect, for: Rhizome.Table do
  def inspect(table, _options) do
    "#Rhizome.Table<#{Rhizome.View.describe(table)}, #{Kernel.inspect(table.store)}>"
  end
end

defimpl Inspect, for: Rhizome.View do
  def inspect(view, _options) do
    "#Rhizome.View<#{Rhizome.View.describe(view)}, #{Kernel.inspect(view.store)}>"
  end
end
