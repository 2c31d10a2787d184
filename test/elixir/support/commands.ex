defmodule Rhizome.Commands do
  @moduledoc false
  # Random commands for the model, and the public function behind each.
  #
  # The universe of keys is small and nasty, so that pairs collide: equal
  # numbers of two kinds, alone and inside of terms whose order they decide,
  # and terms that are prefixes of others. A command is the Op of the protocol,
  # which the model takes as it is.

  alias Rhizome.{Batch, Change, Model}

  @keys [
    1,
    1.0,
    2,
    -7,
    1.5,
    36_893_488_147_419_103_232,
    :a,
    :b,
    nil,
    true,
    "",
    "a",
    "ab",
    <<0>>,
    <<5::3>>,
    {},
    {1, :b},
    {1.0, :a},
    [],
    [1],
    [1.0, 2],
    [1 | 2],
    %{},
    %{1 => :x},
    %{1.0 => :x}
  ]

  @values [0, 1, 1.0, :v, "value", {:v, [1, 2]}, %{deep: %{1 => 1.0}}, nil]

  @types [:pom, :set, :to_one, :to_many, :one_to_one, :one_to_many, :many_to_one, :many_to_many]
  @pairs [:to_many, :one_to_one, :one_to_many, :many_to_one, :many_to_many]
  @two_sided [:one_to_one, :one_to_many, :many_to_one, :many_to_many]

  # Tables that refer to others, named by what they are for.
  @linked [
    {:people, :to_one, %{}},
    {:owners, :one_to_many, %{fwd: {:people, :evict}}},
    {:friends, :many_to_many, %{fwd: {:people, :evict}, bwd: {:people, :evict}}},
    {:badges, :to_many, %{fwd: {:owners, :evict}}},
    {:locks, :set, %{fwd: {:people, :restrict}}}
  ]

  # Commands that create every table.
  def setup do
    for(type <- @types, do: {:create_table, type, type, %{}}) ++
      for {name, type, options} <- @linked, do: {:create_table, name, type, options}
  end

  def tables, do: for(type <- @types, do: {type, type}) ++ for({n, t, _} <- @linked, do: {n, t})

  ## Generating. The state of :rand is the process's.

  def generate(count), do: for(_n <- 1..count, do: command())

  defp command do
    case :rand.uniform(100) do
      n when n <= 50 -> mutation()
      n when n <= 56 -> {:batch, for(_n <- 1..:rand.uniform(5), do: mutation())}
      _read -> read()
    end
  end

  defp mutation do
    {name, type} = pick(tables())

    case {type, :rand.uniform(20)} do
      {_type, 1} -> {:clear_table, name}
      {:pom, n} when n <= 8 -> {:insert_row, name, pick(@values)}
      {:pom, n} when n <= 10 -> {:insert_rows, name, some(fn -> pick(@values) end)}
      {:pom, n} when n <= 14 -> {:update_row, name, id(), pick(@values)}
      {:pom, n} when n <= 17 -> {:delete, name, :fwd, {id(), pick(@values)}}
      {:pom, _n} -> {:delete_key, name, :fwd, id()}
      {type, n} when n <= 8 -> with_view(:insert, name, type, &element/2)
      {type, n} when n <= 10 -> with_view(:insert_new, name, type, &element/2)
      {type, n} when n <= 12 -> with_view(:insert_all, name, type, &elements/2)
      {type, n} when n <= 15 -> with_view(:delete, name, type, &element/2)
      {type, n} when n <= 17 -> with_view(:delete_all, name, type, &elements/2)
      {type, _n} -> {:delete_key, name, side(type), key()}
    end
  end

  defp read do
    {name, type} = pick(tables())
    side = side(type)

    case :rand.uniform(10) do
      1 -> {:get, name, pick(unique_sides(type) ++ [side]), row_key(type)}
      2 -> with_view(:member, name, type, &element/2)
      3 -> {:has_key, name, side, row_key(type)}
      4 -> {:count, name, view(type), :none, :none}
      5 -> {:key_count, name, side}
      6 -> with_view(:rank, name, type, &rank_element/2)
      7 -> count_range(name, type)
      _scan -> scan(name, type)
    end
  end

  defp count_range(name, type) do
    view = view(type)
    {:count, name, view, from(type, view), to(type)}
  end

  defp scan(name, type) do
    view = view(type)
    what = pick(whats(type, view))
    limit = pick([1, 2, 3, 1_000])
    from = if what == :keys, do: keys_from(type), else: from(type, view)
    {:scan, name, view, what, pick([:asc, :desc]), from, to(type), limit}
  end

  defp whats(_type, {_side, _key}), do: [:elements]
  defp whats(:set, _side), do: [:elements]
  defp whats(_type, _side), do: [:elements, :keys, :values]

  defp from(type, view) do
    case :rand.uniform(6) do
      1 -> {:incl, row_key(type)}
      2 -> {:excl, row_key(type)}
      3 when type not in [:pom, :to_one] -> {:after, element(type, view)}
      4 -> {:pos, :rand.uniform(9) - 5}
      _none -> :none
    end
  end

  defp keys_from(type) do
    case :rand.uniform(3) do
      1 -> {:incl, row_key(type)}
      2 -> {:excl, row_key(type)}
      3 -> :none
    end
  end

  defp to(type), do: pick([:none, :none, {:incl, row_key(type)}, {:excl, row_key(type)}])

  defp with_view(command, name, type, fun) do
    view = view(type)
    {command, name, view, fun.(type, view)}
  end

  defp view(type) when type in @pairs, do: pick([side(type), {side(type), key()}])
  defp view(_type), do: :fwd

  defp side(type) when type in @two_sided, do: pick([:fwd, :bwd])
  defp side(_type), do: :fwd

  defp unique_sides(type) do
    case type do
      type when type in [:pom, :to_one, :many_to_one] -> [:fwd]
      :one_to_one -> [:fwd, :bwd]
      :one_to_many -> [:bwd]
      _many -> []
    end
  end

  defp element(_type, {_side, _key}), do: key()
  defp element(:set, _side), do: key()
  defp element(:pom, _side), do: {id(), pick(@values)}
  defp element(:to_one, _side), do: {key(), pick(@values)}
  defp element(_type, _side), do: {key(), key()}

  defp rank_element(type, _side) when type in [:pom, :to_one], do: row_key(type)
  defp rank_element(type, view), do: element(type, view)

  defp elements(type, view), do: some(fn -> element(type, view) end)

  defp some(fun), do: for(_n <- 1..:rand.uniform(4), do: fun.())
  defp row_key(:pom), do: id()
  defp row_key(_type), do: key()
  defp id, do: :rand.uniform(12)

  # Mostly few keys, so that they meet, and sometimes any.
  defp key, do: if(:rand.uniform(4) == 1, do: pick(@keys), else: pick([1, 1.0, :a, "a", {1, :b}]))
  defp pick(list), do: Enum.random(list)

  ## Carrying out, by the public functions

  def run(store, op) do
    normalize(call(store, op))
  rescue
    error in Rhizome.Error -> {:error, error.code}
    ArgumentError -> {:error, :wrong_table_type}
  end

  # What the model says, in the same form.
  def expected({:ok, result}), do: {:ok, result}
  def expected({:ok, items, next}), do: {:ok, items, next == :done}
  def expected({:error, code}), do: {:error, code}

  defp normalize({:ok, results}) when is_list(results) do
    {:ok, Enum.map(results, &triple/1)}
  end

  defp normalize({:ok, items, done?}), do: {:ok, items, done?}
  defp normalize({:ok, result}), do: {:ok, triple(result)}
  defp normalize({:error, error}), do: {:error, error.code}

  defp triple(%Change{} = change) do
    cascade =
      for {table, elements} <- change.cascade do
        {table, if(is_list(elements), do: Model.sort(elements), else: elements)}
      end

    {change.outcome, Model.sort(change.evicted), Model.sort(cascade)}
  end

  defp triple(other), do: other

  defp call(store, {:create_table, name, type, options}) do
    with {:ok, _table} <- Rhizome.create_table(store, name, type, Map.to_list(options)) do
      {:ok, :created}
    end
  end

  defp call(store, {:clear_table, name}), do: Rhizome.clear(table(store, name))

  defp call(store, {:insert, name, side, {key, partner}})
       when side in [:fwd, :bwd] and name not in [:set, :locks] do
    Rhizome.put(view(store, name, side), key, partner)
  end

  defp call(store, {:insert_new, name, side, {key, partner}})
       when side in [:fwd, :bwd] and name not in [:set, :locks] do
    Rhizome.put_new(view(store, name, side), key, partner)
  end

  defp call(store, {:insert_row, name, value}) do
    with {:ok, id} <- Rhizome.insert_row(table(store, name), value), do: {:ok, {id, [], []}}
  end

  defp call(store, {:insert_rows, name, values}) do
    with {:ok, ids} <- Rhizome.insert_rows(table(store, name), values), do: {:ok, {ids, [], []}}
  end

  defp call(store, {:update_row, name, id, value}) do
    Rhizome.update_row(table(store, name), id, value)
  end

  defp call(store, {:batch, ops}) do
    batch = Enum.reduce(ops, Batch.new(), &add(&2, store, &1))

    with {:ok, results} <- Rhizome.run(store, batch) do
      {:ok, Enum.zip_with(ops, results, &batch_result/2)}
    end
  end

  defp call(store, {:get, name, side, key}) do
    missing = make_ref()

    case Rhizome.get(view(store, name, side), key, missing) do
      ^missing -> {:ok, :none}
      value -> {:ok, {:value, value}}
    end
  end

  defp call(store, {:member, name, view, element}) do
    {:ok, Rhizome.member?(view(store, name, view), element)}
  end

  defp call(store, {:has_key, name, side, key}) do
    {:ok, Rhizome.has_key?(view(store, name, side), key)}
  end

  defp call(store, {:key_count, name, side}),
    do: {:ok, Rhizome.key_count(view(store, name, side))}

  defp call(store, {:count, name, view, from, to}) do
    {:ok, Rhizome.count(view(store, name, view), from_option(from) ++ to_option(to))}
  end

  defp call(store, {:rank, name, view, element}) do
    view = view(store, name, view)
    rank = Rhizome.rank(view, element)
    position = Rhizome.position(view, element)
    true = position in [nil, rank]
    {:ok, {rank, position != nil}}
  end

  defp call(store, {:scan, name, view, what, direction, from, to, limit}) do
    options =
      [what: what, reverse: direction == :desc, limit: limit] ++
        from_option(from) ++ to_option(to)

    with {:ok, page} <- Rhizome.page(view(store, name, view), options) do
      {:ok, page.items, page.next == nil}
    end
  end

  defp call(store, {command, name, view, argument})
       when command in [:insert, :insert_new, :insert_all, :delete, :delete_all, :delete_key] do
    apply(Rhizome, command, [view(store, name, view), argument])
  end

  defp batch_result({command, _name, _values}, result)
       when command in [:insert_row, :insert_rows] do
    {result, [], []}
  end

  defp batch_result(_op, result), do: result

  defp add(batch, store, {:clear_table, name}), do: Batch.clear(batch, table(store, name))

  defp add(batch, store, {command, name, value}) when command in [:insert_row, :insert_rows] do
    apply(Batch, command, [batch, table(store, name), value])
  end

  defp add(batch, store, {:update_row, name, id, value}) do
    Batch.update_row(batch, table(store, name), id, value)
  end

  defp add(batch, store, {command, name, view, argument}) do
    apply(Batch, command, [batch, view(store, name, view), argument])
  end

  def table(store, name) do
    {^name, type} = List.keyfind(tables(), name, 0)
    Rhizome.handle(store, name, type)
  end

  def view(store, name, side) when side in [:fwd, :bwd] do
    apply(Rhizome, side, [table(store, name)])
  end

  def view(store, name, {side, key}), do: apply(Rhizome, side, [table(store, name), key])

  defp from_option(:none), do: []
  defp from_option({:incl, key}), do: [from: key]
  defp from_option({:excl, key}), do: [beyond: key]
  defp from_option({:after, element}), do: [after: element]
  defp from_option({:pos, position}), do: [position: position]

  defp to_option(:none), do: []
  defp to_option({:incl, key}), do: [to: key]
  defp to_option({:excl, key}), do: [before: key]
end
