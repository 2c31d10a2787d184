defmodule Rhizome.GraphModel do
  @moduledoc false
  # What a graph does, written as simply as it can be: a map of vertices and one of edges,
  # which nobody changes. Answers are those of Rhizome.Graph where the order says nothing,
  # and sorted where the graph's is that in which vertices came.

  defstruct directed: true, vertices: %{}, edges: %{}

  def new(options \\ []), do: %__MODULE__{directed: Keyword.get(options, :directed, true)}

  ## Mutations: {outcome, model}

  def put_vertex(model, vertex, value, labels) do
    new = {value, labels |> Enum.uniq() |> Enum.sort()}

    case model.vertices do
      %{^vertex => ^new} -> {:exists, model}
      %{^vertex => _old} -> {:updated, put_in(model.vertices[vertex], new)}
      _none -> {:inserted, put_in(model.vertices[vertex], new)}
    end
  end

  def update_vertex(model, vertex, value, labels) do
    if has_vertex?(model, vertex),
      do: put_vertex(model, vertex, value, labels),
      else: {{:error, :no_vertex}, model}
  end

  def delete_vertex(model, vertex) do
    if has_vertex?(model, vertex) do
      edges = Map.reject(model.edges, fn {{from, to, _label}, _value} -> vertex in [from, to] end)

      {:deleted, %{model | vertices: Map.delete(model.vertices, vertex), edges: edges}}
    else
      {:absent, model}
    end
  end

  def put_edge(model, from, to, label, value) do
    vertices = Map.merge(%{from => {nil, []}, to => {nil, []}}, model.vertices)
    key = key(model, from, to, label)

    outcome =
      case model.edges do
        %{^key => ^value} -> :exists
        %{^key => _old} -> :updated
        _none -> :inserted
      end

    {outcome, %{model | vertices: vertices, edges: Map.put(model.edges, key, value)}}
  end

  def update_edge(model, from, to, label, value) do
    if is_map_key(model.edges, key(model, from, to, label)),
      do: put_edge(model, from, to, label, value),
      else: {{:error, :not_found}, model}
  end

  def delete_edge(model, from, to, label) do
    key = key(model, from, to, label)

    if is_map_key(model.edges, key),
      do: {:deleted, %{model | edges: Map.delete(model.edges, key)}},
      else: {:absent, model}
  end

  # Of an undirected edge either end may be named first.
  defp key(%{directed: true}, from, to, label), do: {from, to, label}
  defp key(_model, from, to, label), do: {min(from, to), max(from, to), label}

  ## Reads

  def has_vertex?(model, vertex), do: is_map_key(model.vertices, vertex)

  # Edges of an undirected graph with the lesser end first.
  def elements(model) do
    Enum.sort(
      for({v, {value, labels}} <- model.vertices, do: {:vertex, v, value, labels}) ++
        for({{a, b, label}, value} <- model.edges, do: {:edge, a, b, label, value})
    )
  end

  # {other, label} of each edge at a vertex, as one sees it who stands there.
  def arcs(model, vertex, direction) do
    direction = if model.directed, do: direction, else: :both

    for {{from, to, label}, _value} <- model.edges,
        {here, other, way} <- [{from, to, :out}, {to, from, :in}],
        here == vertex,
        direction in [way, :both],
        # A loop of an undirected graph is one edge, whichever end it is taken by.
        model.directed or from != to or way == :out do
      {other, label}
    end
  end

  def neighbors(model, vertex, direction) do
    for({other, _label} <- arcs(model, vertex, direction), do: other)
    |> Enum.uniq()
    |> Enum.sort()
  end

  # Neighbours of neighbours, one step after another.
  def k_hop(model, starts, depth, direction) do
    levels = Map.new(starts, &{&1, 0})
    Enum.sort(k_hop(model, Map.keys(levels), 0, depth, direction, levels))
  end

  defp k_hop(_model, [], _level, _depth, _direction, levels), do: levels
  defp k_hop(_model, _frontier, depth, depth, _direction, levels), do: levels

  defp k_hop(model, frontier, level, depth, direction, levels) do
    next =
      frontier
      |> Enum.flat_map(&neighbors(model, &1, direction))
      |> Enum.uniq()
      |> Enum.reject(&is_map_key(levels, &1))

    levels = Map.merge(levels, Map.new(next, &{&1, level + 1}))
    k_hop(model, next, level + 1, depth, direction, levels)
  end

  def distance(model, from, to, direction) do
    model
    |> k_hop([from], map_size(model.vertices), direction)
    |> Enum.find_value(fn {vertex, level} -> if vertex == to, do: level end)
  end

  def path?(model, path, direction) do
    path
    |> Enum.zip(tl(path))
    |> Enum.all?(fn {a, b} -> b in neighbors(model, a, direction) end)
  end

  # Components as sorted lists of vertices.
  def components(model) do
    model.vertices
    |> Map.keys()
    |> Enum.map(fn v ->
      for {w, _level} <- k_hop(model, [v], map_size(model.vertices), :both), do: w
    end)
    |> Enum.uniq()
    |> Enum.sort()
  end

  def strong_components(model) do
    model.vertices
    |> Map.keys()
    |> Enum.map(fn v ->
      all = map_size(model.vertices)
      there = for {w, _level} <- k_hop(model, [v], all, :out), into: MapSet.new(), do: w
      for {w, _level} <- k_hop(model, [v], all, :in), w in there, do: w
    end)
    |> Enum.uniq()
    |> Enum.sort()
  end
end
