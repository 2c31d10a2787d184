defmodule Rhizome.Graph.Dot do
  @moduledoc false
  # Pictures: the languages of Graphviz and Mermaid. Vertices are numbered, as any two
  # may look the same in words.

  alias Rhizome.{Graph, Options, Table}

  @spec to_dot(Table.t() | {list(), list()}, keyword()) :: String.t()
  def to_dot(graph, options) do
    picture = picture(graph, options)
    {kind, arrow} = if picture.directed?, do: {"digraph", "->"}, else: {"graph", "--"}

    text([
      kind,
      " {\n",
      for({n, text} <- picture.vertices, do: ["  n#{n} [label=", dot(text), "];\n"]),
      for {from, to, text} <- picture.edges do
        [
          "  n#{from} #{arrow} n#{to}",
          if(text, do: [" [label=", dot(text), "]"], else: []),
          ";\n"
        ]
      end,
      "}\n"
    ])
  end

  @spec to_mermaid(Table.t() | {list(), list()}, keyword()) :: String.t()
  def to_mermaid(graph, options) do
    picture = picture(graph, options)
    arrow = if picture.directed?, do: "-->", else: "---"

    text([
      "flowchart LR\n",
      for({n, text} <- picture.vertices, do: ["  n#{n}[", mermaid(text), "]\n"]),
      for {from, to, text} <- picture.edges do
        [
          "  n#{from} #{arrow}",
          if(text, do: ["|", mermaid(text), "|"], else: []),
          " n#{to}\n"
        ]
      end
    ])
  end

  defp text(iodata), do: iodata |> IO.iodata_to_binary() |> String.trim_trailing("\n")

  defp picture(graph, options) do
    options = Options.validate!(options, :picture)
    {vertices, edges} = elements(graph, options)
    directed? = Map.get_lazy(options, :directed, fn -> directed?(graph, options) end)
    vertex_text = Map.get(options, :vertex, fn {:vertex, vertex, _, _} -> vertex end)
    edge_text = Map.get(options, :edge, fn {:edge, _, _, label, _} -> label end)

    {vertices, numbers} =
      Enum.map_reduce(vertices, %{}, fn {:vertex, vertex, _, _} = element, numbers ->
        n = map_size(numbers)
        {{n, words(vertex_text.(element))}, Map.put(numbers, vertex, n)}
      end)

    edges =
      for {:edge, from, to, _label, _value} = edge <- edges do
        text = edge_text.(edge)
        {Map.fetch!(numbers, from), Map.fetch!(numbers, to), text && words(text)}
      end

    %{vertices: vertices, edges: edges, directed?: directed?}
  end

  # Vertices and edges are of one state, or an edge might have an end that is no vertex.
  defp elements(%Table{} = graph, %{vertices: some} = options) do
    Graph.subgraph(graph, some, Map.to_list(Map.take(options, [:at, :timeout])))
  end

  defp elements(%Table{store: store} = graph, options) do
    Table.check_graph!(graph)
    options = Map.to_list(Map.take(options, [:at, :timeout]))

    if Keyword.has_key?(options, :at) or is_struct(store) do
      whole(graph, options)
    else
      Rhizome.with_snapshot(store, &whole(Rhizome.on(graph, &1), options))
    end
  end

  defp elements({vertices, edges}, options) when is_list(vertices) and is_list(edges) do
    known = for vertex <- vertices, into: MapSet.new(), do: vertex!(vertex)
    Enum.each(edges, &edge!(&1, known))

    case options do
      %{vertices: some} ->
        some = MapSet.new(some)

        {for({:vertex, v, _, _} = vertex <- vertices, v in some, do: vertex),
         for({:edge, a, b, _, _} = edge <- edges, a in some, b in some, do: edge)}

      _all ->
        {vertices, edges}
    end
  end

  defp elements(other, _options) do
    no_picture!(other)
  end

  defp vertex!({:vertex, vertex, _value, _labels}), do: vertex
  defp vertex!(other), do: no_picture!(other)

  defp edge!({:edge, from, to, _label, _value} = edge, known) do
    unless from in known and to in known do
      raise ArgumentError, "an end of this edge is not among the vertices: #{inspect(edge)}"
    end
  end

  defp edge!(other, _known), do: no_picture!(other)

  defp no_picture!(other) do
    raise ArgumentError,
          "expected a graph, or {vertices, edges} as subgraph returns them: lists of " <>
            "{:vertex, vertex, value, labels} and {:edge, from, to, label, value}; got: " <>
            inspect(other)
  end

  defp whole(graph, options) do
    {Enum.to_list(Graph.vertex_elements(graph, options)),
     Enum.to_list(Graph.edges(graph, options))}
  end

  defp directed?(%Table{} = graph, options) do
    Rhizome.table_info(graph, Map.to_list(Map.take(options, [:at, :timeout]))).directed
  end

  defp directed?(_data, _options), do: true

  # A text is written as it is, and everything else as in Elixir.
  defp words(text) when is_binary(text) do
    if String.valid?(text), do: text, else: inspect(text)
  end

  defp words(term), do: inspect(term)

  defp dot(text) do
    escaped =
      String.replace(text, ["\\", "\"", "\n", "\r"], fn
        "\\" -> "\\\\"
        "\"" -> "\\\""
        "\n" -> "\\n"
        "\r" -> ""
      end)

    ["\"", escaped, "\""]
  end

  # Mermaid knows entities and no backslashes; what else may mean something to it is
  # written as one, too.
  defp mermaid(text) do
    escaped =
      String.replace(text, ["#", "\"", "\n", "\r", "<", ">", "&", "|", "`", ":"], fn
        "#" -> "#35;"
        "\"" -> "#quot;"
        "\n" -> "<br>"
        "\r" -> ""
        "<" -> "#lt;"
        ">" -> "#gt;"
        "&" -> "#amp;"
        "|" -> "#124;"
        "`" -> "#96;"
        ":" -> "#colon;"
      end)

    ["\"", escaped, "\""]
  end
end
