defmodule Rhizome.Op do
  @moduledoc false
  # The mutations as they travel, and what their results become. Calls and
  # batches are made of the same ops and check their arguments the same way.

  alias Rhizome.{Change, Options, Table, View}

  @mutations [
    :insert,
    :insert_new,
    :insert_all,
    :delete,
    :delete_all,
    :delete_key,
    :insert_row,
    :insert_rows,
    :update_row,
    :batch,
    :create_table,
    :clear_table,
    :drop_table,
    :put_vertex,
    :put_vertices,
    :update_vertex,
    :delete_vertex,
    :delete_vertices,
    :put_edge,
    :put_edges,
    :update_edge,
    :delete_edge,
    :delete_edges,
    :contract,
    :expand,
    :result_write,
    :with,
    :commit
  ]

  # Ops that are about a version, a subscription, a result or a projection.
  @about_versions [
    :snapshot,
    :fork,
    :commit,
    :release,
    :subscribe,
    :unsubscribe,
    :drop_projection,
    :result_rows,
    :release_result
  ]

  # Ops whose second argument is what they are over.
  @over_second [:run, :estimate, :project]

  # Whether it matters if it was carried out. A version does not outlive its daemon.
  @spec mutation?(tuple()) :: boolean()
  def mutation?({:with, %{at: _version}, _op}), do: false
  def mutation?(op), do: elem(op, 0) in @mutations

  # A mutation with what it depends on: that it is carried out once, however often
  # it is sent, and only at the seq that is expected.
  @spec guarded(tuple(), map()) :: tuple()
  def guarded(op, options) do
    case Map.take(options, [:idempotency_key, :expect]) do
      none when none == %{} -> op
      guards -> {:with, guards, op}
    end
  end

  # The result alone, of an op that was guarded: what is expected is answered with
  # the seq that it has led to.
  @spec strip(term(), map()) :: term()
  def strip({_seq, result}, %{expect: _expected}), do: result
  def strip(result, _options), do: result

  # What telemetry calls an op. Its second element is a table there.
  @spec about(tuple()) :: tuple()
  def about(op) when elem(op, 0) in @about_versions, do: {elem(op, 0)}
  def about(op) when elem(op, 0) in @over_second, do: {elem(op, 0), elem(op, 2)}
  def about({:result_write, _result, _from, _limit, table}), do: {:result_write, table}
  def about(op), do: op

  @spec insert(View.t(), term()) :: tuple()
  def insert(view, element), do: {:insert, view.table, wire!(view), one!(view, element)}

  def insert_new(view, element), do: {:insert_new, view.table, wire!(view), one!(view, element)}

  def put(view, key, partner), do: insert(View.check_put!(view), {key, partner})

  def put_new(view, key, partner), do: insert_new(View.check_put!(view), {key, partner})

  def insert_all(view, elements), do: {:insert_all, view.table, wire!(view), all!(view, elements)}

  def delete(view, element) do
    {:delete, view.table, View.wire(view), View.check_deletable!(view, element)}
  end

  def delete_all(view, elements) do
    elements = Enum.map(elements, &View.check_deletable!(view, &1))
    {:delete_all, view.table, View.wire(view), elements}
  end

  def delete_key(view, key) do
    View.check_whole!(view, "delete_key")
    {:delete_key, view.table, view.side, key}
  end

  def delete_row(view, id) do
    View.check_type!(view, [:pom], "delete_row")
    delete_key(view, id)
  end

  def insert_row(view, value) do
    View.check_type!(view, [:pom], "insert_row")
    {:insert_row, view.table, value}
  end

  def insert_rows(view, values) do
    View.check_type!(view, [:pom], "insert_rows")
    {:insert_rows, view.table, Enum.to_list(values)}
  end

  def update_row(view, id, value) do
    View.check_type!(view, [:pom], "update_row")
    {:update_row, view.table, id, value}
  end

  def clear(table), do: {:clear_table, Table.check!(table).name}
  def drop(table), do: {:drop_table, Table.check!(table).name}

  ## Graphs. `options` are validated by the schemas :vertex, :edge and :edge_label,
  ## or those that hold them.

  def put_vertex(graph, vertex, options) do
    {:put_vertex, graph!(graph), vertex, options.value, options.labels}
  end

  def put_vertices(graph, vertices) do
    {:put_vertices, graph!(graph), Enum.map(vertices, &vertex/1)}
  end

  def update_vertex(graph, vertex, options) do
    {:update_vertex, graph!(graph), vertex, options.value, options.labels}
  end

  def delete_vertex(graph, vertex), do: {:delete_vertex, graph!(graph), vertex}

  def delete_vertices(graph, vertices) do
    {:delete_vertices, graph!(graph), Enum.to_list(vertices)}
  end

  def put_edge(graph, from, to, options) do
    {:put_edge, graph!(graph), from, to, options.label, options.value}
  end

  def put_edges(graph, edges), do: {:put_edges, graph!(graph), Enum.map(edges, &edge!/1)}

  def update_edge(graph, from, to, options) do
    {:update_edge, graph!(graph), from, to, options.label, options.value}
  end

  def delete_edge(graph, from, to, options) do
    {:delete_edge, graph!(graph), from, to, options.label}
  end

  def delete_edges(graph, edges) do
    {:delete_edges, graph!(graph), Enum.map(edges, &edge_name!/1)}
  end

  def contract(graph, super_vertex, members, options) do
    rules = Map.take(options, [:value, :edges, :loops])
    {:contract, graph!(graph), super_vertex, Enum.to_list(members), rules}
  end

  def expand(graph, super_vertex), do: {:expand, graph!(graph), super_vertex}

  # A vertex by itself may be any term, a tuple of three among them, so what travels
  # says which part is which.
  defp vertex({:vertex, vertex, value, labels}) when is_list(labels), do: {vertex, value, labels}
  defp vertex(vertex), do: {vertex, nil, []}

  defp edge!({_from, _to} = edge), do: edge
  defp edge!({_from, _to, _label} = edge), do: edge
  defp edge!({_from, _to, _label, _value} = edge), do: edge
  defp edge!({:edge, from, to, label, value}), do: {from, to, label, value}
  defp edge!(other), do: no_edge!(other)

  defp edge_name!({_from, _to} = edge), do: edge
  defp edge_name!({_from, _to, _label} = edge), do: edge
  defp edge_name!({from, to, label, _value}), do: {from, to, label}
  defp edge_name!({:edge, from, to, label, _value}), do: {from, to, label}
  defp edge_name!(other), do: no_edge!(other)

  defp no_edge!(other) do
    raise ArgumentError,
          "an edge is {from, to}, {from, to, label}, {from, to, label, value} or " <>
            "{:edge, from, to, label, value}, got: #{inspect(other)}"
  end

  defp graph!(table), do: Table.check_graph!(table).name

  # `options` are validated by the schema :create_table.
  def create_table(name, :graph, options) do
    refuse!(options, [:fwd, :bwd], "a graph has no sides that could refer to others")
    options = Map.take(options, [:directed, :weight, :if_exists])

    wire_options =
      for {name, value} <- options, {name, value} != {:if_exists, :ok}, into: %{} do
        {name, if({name, value} == {:weight, nil}, do: :none, else: value)}
      end

    {:create_table, name, :graph, wire_options}
  end

  def create_table(name, type, options) do
    Table.check_type!(type)
    refuse!(options, [:directed, :weight], "they are for tables of type :graph")

    references =
      for side <- [:fwd, :bwd], {table, on_delete} <- List.wrap(options[side]), into: %{} do
        {side, {table_name(table), on_delete}}
      end

    wire_options =
      if options.if_exists == :error,
        do: Map.put(references, :if_exists, :error),
        else: references

    {:create_table, name, type, wire_options}
  end

  defp refuse!(options, names, why) do
    case for {name, _value} <- options, name in names, do: name do
      [] -> :ok
      given -> raise ArgumentError, "options #{inspect(given)} are not for this type: #{why}"
    end
  end

  # The stores of the tables that `options` refer to: one and the same, or the
  # names would mean other tables.
  @spec reference_stores(map()) :: [Rhizome.target()]
  def reference_stores(options) do
    for side <- [:fwd, :bwd], {%Table{store: store}, _} <- List.wrap(options[side]), do: store
  end

  # A result as the user sees it.
  @spec result(tuple(), term()) :: term()
  def result({:batch, ops}, results), do: Enum.zip_with(ops, results, &result/2)

  def result(op, {outcome, _evicted, _cascade} = mutation)
      when elem(op, 0) not in [:insert_row, :insert_rows] and
             (is_atom(outcome) or is_integer(outcome)) do
    Change.new(mutation)
  end

  def result(_op, {id_or_ids, _evicted, _cascade}), do: id_or_ids
  def result(_op, result), do: result

  @doc false
  def validate_create!(options), do: Options.validate!(options, :create_table)

  defp wire!(%View{type: :pom}) do
    raise ArgumentError, "a pom gives out its ids itself; use insert_row or insert_rows"
  end

  defp wire!(view), do: View.wire(view)

  defp one!(view, element), do: View.check_element!(view, element)
  defp all!(view, elements), do: Enum.map(elements, &View.check_element!(view, &1))

  defp table_name(%Table{name: name}), do: name
  defp table_name(name), do: name
end
