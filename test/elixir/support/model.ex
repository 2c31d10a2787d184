defmodule Rhizome.Model do
  @moduledoc false
  # What a store is supposed to do, in the plainest way that could be right:
  # lists, sorted when somebody looks. It takes the commands of PROTOCOL.md as
  # they travel and answers as the daemon does, with the lists of evicted
  # elements sorted.
  #
  # A table's contents are a map: of pairs {a, b} to nil, of the keys of a set
  # to nil, of the keys of a pom or to_one to their values. Maps compare keys
  # with =:=, as the daemon does.

  defmodule Table do
    @moduledoc false
    defstruct [:name, :type, content: %{}, next_id: 1, references: %{}]
  end

  # `cascade` gathers, during one mutation, what left other tables.
  defstruct tables: %{}, seq: 0, cascade: %{}

  @pairs [:to_many, :one_to_one, :one_to_many, :many_to_one, :many_to_many]
  @two_sided [:one_to_one, :one_to_many, :many_to_one, :many_to_many]
  @unique %{
    pom: [:fwd],
    set: [],
    to_one: [:fwd],
    to_many: [],
    one_to_one: [:fwd, :bwd],
    one_to_many: [:bwd],
    many_to_one: [:fwd],
    many_to_many: []
  }

  def new, do: %__MODULE__{}

  # {answer, model}
  def run(model, op) do
    {answer, model} = execute(model, op)
    {answer, model}
  catch
    {:error, code} -> {{:error, code}, model}
  end

  ## Order

  # Erlang's order, made total: of two equal numbers the integer is first, at
  # the first place where two terms differ in nothing else.
  def compare(a, b) when a === b, do: :eq
  def compare(a, b) when a < b, do: :lt
  def compare(a, b) when a > b, do: :gt
  def compare(a, _b) when is_integer(a), do: :lt
  def compare(a, _b) when is_float(a), do: :gt

  def compare(a, b) when is_tuple(a), do: compare(Tuple.to_list(a), Tuple.to_list(b))

  def compare([a | as], [b | bs]) do
    with :eq <- compare(a, b), do: compare(as, bs)
  end

  def compare(a, b) when is_map(a) do
    compare(
      a |> Enum.sort() |> Enum.map(&elem(&1, 1)),
      b |> Enum.sort() |> Enum.map(&elem(&1, 1))
    )
  end

  def before?(a, b), do: compare(a, b) != :gt

  def sort(terms), do: Enum.sort(terms, &before?/2)

  # Pairs in the order of their components, which is not that of the tuples:
  # {1, b} stands before {1.0, a}.
  def sort_pairs(pairs), do: Enum.sort(pairs, &pair_before?/2)

  defp pair_before?({a1, b1}, {a2, b2}) do
    case compare(a1, a2) do
      :eq -> before?(b1, b2)
      order -> order == :lt
    end
  end

  ## Views

  # All elements of a view, in order.
  def elements(model, name, view), do: view_elements(fetch!(model, name), view)

  defp view_elements(table, view) when view in [:fwd, :bwd] do
    check_side!(table, view)

    case table.type do
      :set -> table.content |> Map.keys() |> sort()
      type when type in [:pom, :to_one] -> table.content |> Map.to_list() |> sort_rows()
      _pairs -> table.content |> Map.keys() |> Enum.map(&orient(&1, view)) |> sort_pairs()
    end
  end

  defp view_elements(table, {side, key}) do
    if table.type not in @pairs, do: throw({:error, :wrong_table_type})
    for {k, partner} <- view_elements(table, side), k === key, do: partner
  end

  defp sort_rows(rows), do: Enum.sort(rows, fn {a, _}, {b, _} -> before?(a, b) end)

  defp orient(pair, :fwd), do: pair
  defp orient({a, b}, :bwd), do: {b, a}

  defp check_side!(%{type: type}, :bwd) when type not in @two_sided do
    throw({:error, :wrong_table_type})
  end

  defp check_side!(_table, _side), do: :ok

  # The key of an element that bounds are about.
  defp bound_key(table, side, element) when side in [:fwd, :bwd] do
    if table.type == :set, do: element, else: elem(element, 0)
  end

  defp bound_key(_table, _held, element), do: element

  ## Commands: the store

  defp execute(model, {:ping}), do: {{:ok, :pong}, model}

  defp execute(model, {:info}) do
    {{:ok, %{seq: model.seq, tables: map_size(model.tables), memory_bytes: 0}}, model}
  end

  defp execute(model, {:tables}) do
    {{:ok, for({name, table} <- sort_rows(Map.to_list(model.tables)), do: {name, table.type})},
     model}
  end

  defp execute(model, {:table_info, name}) do
    table = fetch!(model, name)

    {{:ok,
      %{
        name: name,
        type: table.type,
        count: map_size(table.content),
        fwd_keys: length(distinct_keys(table, :fwd)),
        bwd_keys: if(table.type in @two_sided, do: length(distinct_keys(table, :bwd)), else: 0)
      }}, model}
  end

  defp execute(model, {:scan, name, view, what, direction, from, to, limit}) do
    table = fetch!(model, name)
    elements = range(table, view, direction, from, to)

    items =
      case what do
        :elements -> elements
        :values -> Enum.map(elements, &elem(&1, 1))
        :keys -> elements |> Enum.map(&bound_key(table, view, &1)) |> Enum.dedup_by(&{&1})
      end

    {page, rest} = Enum.split(items, limit)
    {{:ok, page, next(table, what, elements, page, rest)}, model}
  end

  defp execute(model, {:count, name, view, from, to}) do
    {{:ok, length(range(fetch!(model, name), view, :asc, from, to))}, model}
  end

  defp execute(model, {:key_count, name, side}) do
    {{:ok, length(distinct_keys(fetch!(model, name), side))}, model}
  end

  defp execute(model, {:get, name, side, key}) do
    table = fetch!(model, name)
    if side not in @unique[table.type], do: throw({:error, :wrong_table_type})

    found = for {k, partner} <- view_elements(table, side), k === key, do: {:value, partner}
    {{:ok, List.first(found, :none)}, model}
  end

  defp execute(model, {:member, name, view, element}) do
    {{:ok, Enum.any?(elements(model, name, view), &(&1 === element))}, model}
  end

  defp execute(model, {:has_key, name, side, key}) do
    {{:ok, Enum.any?(distinct_keys(fetch!(model, name), side), &(&1 === key))}, model}
  end

  defp execute(model, {:rank, name, view, element}) do
    table = fetch!(model, name)
    elements = view_elements(table, view)

    elements_before =
      case {view, table.type} do
        {:fwd, type} when type in [:pom, :to_one] ->
          Enum.take_while(elements, &(compare(elem(&1, 0), element) == :lt))

        {side, type} when side in [:fwd, :bwd] and type != :set ->
          Enum.take_while(elements, &(&1 !== element and pair_before?(&1, element)))

        _keys ->
          Enum.take_while(elements, &(compare(&1, element) == :lt))
      end

    member? =
      if view == :fwd and table.type in [:pom, :to_one] do
        Map.has_key?(table.content, element)
      else
        Enum.any?(elements, &(&1 === element))
      end

    {{:ok, {length(elements_before), member?}}, model}
  end

  # Everything else is a mutation: it takes the next seq if it changes anything.
  defp execute(model, op) do
    {result, changed} = mutate(%{model | cascade: %{}}, op)
    seq = if changed.tables == model.tables, do: model.seq, else: model.seq + 1
    {{:ok, result}, %{changed | seq: seq}}
  end

  defp distinct_keys(table, side) do
    table
    |> view_elements(side)
    |> Enum.map(&bound_key(table, side, &1))
    |> Enum.dedup_by(&{&1})
  end

  defp next(_table, _what, _elements, _page, []), do: :done
  defp next(_table, :keys, _elements, page, _rest), do: {:after_key, List.last(page)}

  defp next(table, _what, elements, page, _rest) do
    last = Enum.at(elements, length(page) - 1)
    if table.type in [:pom, :to_one], do: {:after_key, elem(last, 0)}, else: {:after, last}
  end

  defp range(table, view, direction, from, to) do
    elements = view_elements(table, view)
    count = length(elements)
    walk = if direction == :asc, do: elements, else: Enum.reverse(elements)
    ahead = if direction == :asc, do: :lt, else: :gt
    key = &bound_key(table, view, &1)

    walk
    |> start(from, count, direction, ahead, key, pairs?(table, view))
    |> stop(to, ahead, key)
  end

  defp pairs?(table, view), do: view in [:fwd, :bwd] and table.type in @pairs

  defp start(walk, :none, _count, _direction, _ahead, _key, _pairs?), do: walk

  defp start(walk, {:incl, k}, _count, _direction, ahead, key, _pairs?) do
    Enum.drop_while(walk, &(compare(key.(&1), k) == ahead))
  end

  defp start(walk, {kind, k}, _count, _direction, ahead, key, _pairs?)
       when kind in [:excl, :after_key] do
    Enum.drop_while(walk, &(compare(key.(&1), k) in [ahead, :eq]))
  end

  defp start(walk, {:after, {a, b}}, _count, _direction, ahead, _key, true) do
    Enum.drop_while(walk, fn {x, y} ->
      order = with :eq <- compare(x, a), do: compare(y, b)
      order in [ahead, :eq]
    end)
  end

  # An element of a set or a held set.
  defp start(walk, {:after, element}, _count, _direction, ahead, key, false) do
    Enum.drop_while(walk, &(compare(key.(&1), element) in [ahead, :eq]))
  end

  defp start(walk, {:pos, n}, count, direction, _ahead, _key, _pairs?) do
    position = if n < 0, do: count + n, else: n

    cond do
      position < 0 or position >= count -> []
      direction == :asc -> Enum.drop(walk, position)
      true -> Enum.drop(walk, count - 1 - position)
    end
  end

  defp stop(walk, :none, _ahead, _key), do: walk

  defp stop(walk, {:incl, k}, ahead, key) do
    Enum.take_while(walk, &(compare(key.(&1), k) in [ahead, :eq]))
  end

  defp stop(walk, {:excl, k}, ahead, key) do
    Enum.take_while(walk, &(compare(key.(&1), k) == ahead))
  end

  ## Mutations: {result, model}, or throws {:error, code}

  defp mutate(model, {:batch, ops}) do
    {results, model} =
      Enum.map_reduce(ops, model, fn op, model -> mutate(%{model | cascade: %{}}, op) end)

    {results, model}
  end

  defp mutate(model, {:create_table, name, type, options}) do
    references = Map.take(options, [:fwd, :bwd])

    case model.tables[name] do
      nil ->
        for {_side, {other, _on_delete}} <- references, do: fetch!(model, other)
        table = %Table{name: name, type: type, references: references}
        {:created, put_table(model, table)}

      %{type: ^type, references: ^references} when not is_map_key(options, :if_exists) ->
        {:exists, model}

      _other ->
        throw({:error, :table_exists})
    end
  end

  defp mutate(model, {:drop_table, name}) do
    fetch!(model, name)
    if referrers(model, name) != [], do: throw({:error, :restricted})
    {:dropped, %{model | tables: Map.delete(model.tables, name)}}
  end

  defp mutate(model, {:clear_table, name}) do
    table = fetch!(model, name)
    removed = fwd_elements(table)
    model = settle(put_table(model, %{table | content: %{}}), name, removed)
    counted = for {table, elements} <- model.cascade, do: {table, length(elements)}
    {{length(removed), [], sort(counted)}, model}
  end

  defp mutate(model, {:insert, name, view, element}) do
    {inserted?, evicted, model} = insert(model, name, view, element)
    finish(model, name, view, if(inserted?, do: :inserted, else: :exists), evicted)
  end

  defp mutate(model, {:insert_new, name, view, element}) do
    table = fetch!(model, name)
    if table.type == :pom, do: throw({:error, :wrong_table_type})

    if taken?(table, to_fwd(table, view, element)) do
      finish(model, name, view, :exists, [])
    else
      mutate(model, {:insert, name, view, element})
    end
  end

  defp mutate(model, {:insert_all, name, view, elements}) do
    fetch!(model, name)

    {count, evicted, model} =
      Enum.reduce(elements, {0, [], model}, fn element, {count, evicted, model} ->
        {inserted?, more, model} = insert(model, name, view, element)
        {if(inserted?, do: count + 1, else: count), evicted ++ more, model}
      end)

    finish(model, name, view, count, evicted)
  end

  defp mutate(model, {:delete, name, view, element}) do
    {deleted, model} = delete(model, name, view, element)
    finish(model, name, view, if(deleted == [], do: :absent, else: :deleted), deleted)
  end

  defp mutate(model, {:delete_all, name, view, elements}) do
    fetch!(model, name)

    {deleted, model} =
      Enum.flat_map_reduce(elements, model, fn element, model ->
        delete(model, name, view, element)
      end)

    finish(model, name, view, length(deleted), deleted)
  end

  defp mutate(model, {:delete_key, name, side, key}) do
    table = fetch!(model, name)
    check_side!(table, side)

    gone =
      for element <- view_elements(table, side),
          bound_key(table, side, element) === key,
          do: to_fwd(table, side, element)

    model = settle(put_table(model, remove(table, gone)), name, gone)
    finish(model, name, side, length(gone), gone)
  end

  defp mutate(model, {:insert_row, name, value}) do
    {{[id], [], []}, model} = mutate(model, {:insert_rows, name, [value]})
    {{id, [], []}, model}
  end

  defp mutate(model, {:insert_rows, name, values}) do
    table = fetch!(model, name)
    if table.type != :pom, do: throw({:error, :wrong_table_type})

    {ids, table} =
      Enum.map_reduce(values, table, fn value, table ->
        id = table.next_id
        {id, %{table | next_id: id + 1, content: Map.put(table.content, id, value)}}
      end)

    {{ids, [], []}, put_table(model, table)}
  end

  defp mutate(model, {:update_row, name, id, value}) do
    table = fetch!(model, name)
    if table.type != :pom, do: throw({:error, :wrong_table_type})

    case table.content do
      %{^id => old} ->
        model = put_table(model, %{table | content: Map.put(table.content, id, value)})
        {{:updated, [{id, old}], []}, model}

      _none ->
        throw({:error, :not_found})
    end
  end

  defp finish(model, name, view, outcome, gone) do
    table = fetch!(model, name)
    cascade = for {table, elements} <- model.cascade, do: {table, sort(elements)}
    side = if is_tuple(view), do: elem(view, 0), else: view
    evicted = gone |> Enum.map(&from_fwd(table, side, &1)) |> sort()
    {{outcome, evicted, sort(cascade)}, model}
  end

  # {inserted?, evicted in fwd orientation, model}
  defp insert(model, name, view, element) do
    table = fetch!(model, name)
    if table.type == :pom, do: throw({:error, :wrong_table_type})
    element = to_fwd(table, view, element)
    check_references!(model, table, element)

    case table.type do
      :set ->
        inserted? = not Map.has_key?(table.content, element)
        {inserted?, [], put_table(model, add(table, element, nil))}

      :to_one ->
        {key, value} = element

        case table.content do
          %{^key => ^value} -> {false, [], model}
          %{^key => old} -> {true, [{key, old}], put_table(model, add(table, key, value))}
          _none -> {true, [], put_table(model, add(table, key, value))}
        end

      _pairs ->
        if Map.has_key?(table.content, element) do
          {false, [], model}
        else
          {a, b} = element

          evicted =
            for {x, y} = pair <- Map.keys(table.content),
                (x === a and :fwd in @unique[table.type]) or
                  (y === b and :bwd in @unique[table.type]),
                do: pair

          model = put_table(model, table |> remove(evicted) |> add(element, nil))
          {true, evicted, settle(model, name, evicted)}
        end
    end
  end

  # Has anybody that may have one partner got one already?
  defp taken?(%{type: :set}, _element), do: false
  defp taken?(%{type: :to_one} = table, {key, _value}), do: Map.has_key?(table.content, key)

  defp taken?(table, {a, b}) do
    Enum.any?(Map.keys(table.content), fn {x, y} ->
      (x === a and :fwd in @unique[table.type]) or (y === b and :bwd in @unique[table.type])
    end)
  end

  # {deleted in fwd orientation, model}
  defp delete(model, name, view, element) do
    table = fetch!(model, name)
    element = to_fwd(table, view, element)

    there? =
      if table.type in [:pom, :to_one] do
        {key, value} = element
        Map.fetch(table.content, key) === {:ok, value}
      else
        Map.has_key?(table.content, element)
      end

    if there? do
      {[element], model |> put_table(remove(table, [element])) |> settle(name, [element])}
    else
      {[], model}
    end
  end

  defp add(table, key, value), do: %{table | content: Map.put(table.content, key, value)}

  defp remove(table, elements) do
    %{table | content: Map.drop(table.content, Enum.map(elements, &content_key(table, &1)))}
  end

  defp to_fwd(table, {side, key}, partner) do
    if table.type not in @pairs, do: throw({:error, :wrong_table_type})
    to_fwd(table, side, {key, partner})
  end

  defp to_fwd(table, side, element) do
    check_side!(table, side)
    if table.type in @pairs, do: orient(element, side), else: element
  end

  defp from_fwd(table, side, element) do
    if table.type in @pairs, do: orient(element, side), else: element
  end

  defp fwd_elements(table), do: view_elements(table, :fwd)

  ## Integrity

  defp check_references!(model, table, element) do
    for {side, {other, _on_delete}} <- table.references do
      key = side_key(table, side, element)
      unless fwd_key?(fetch!(model, other), key), do: throw({:error, :missing_reference})
    end
  end

  defp side_key(%{type: :set}, :fwd, element), do: element
  defp side_key(_table, :fwd, element), do: elem(element, 0)
  defp side_key(_table, :bwd, element), do: elem(element, 1)

  defp fwd_key?(table, key) do
    Enum.any?(distinct_keys(table, :fwd), &(&1 === key))
  end

  defp referrers(model, name) do
    for {_name, table} <- model.tables,
        {side, {^name, on_delete}} <- table.references,
        do: {table.name, side, on_delete}
  end

  # After `gone` left the table: what leaves others because of it, and so on.
  defp settle(model, _name, []), do: model

  defp settle(model, name, gone) do
    table = fetch!(model, name)

    keys =
      gone
      |> Enum.map(&side_key(table, :fwd, &1))
      |> Enum.uniq()
      |> Enum.reject(&fwd_key?(table, &1))

    hits =
      for {referrer, side, on_delete} <- referrers(model, name) do
        other = fetch!(model, referrer)

        hit =
          for element <- fwd_elements(other),
              Enum.any?(keys, &(&1 === side_key(other, side, element))),
              do: element

        if hit != [] and on_delete == :restrict, do: throw({:error, :restricted})
        {referrer, hit}
      end

    Enum.reduce(hits, model, fn {referrer, hit}, model ->
      other = fetch!(model, referrer)
      # A pair may refer to what is gone by both of its sides.
      hit = Enum.filter(hit, &Map.has_key?(other.content, content_key(other, &1)))

      model
      |> put_table(remove(other, hit))
      |> Map.update!(:cascade, &if(hit == [], do: &1, else: add_cascade(&1, referrer, hit)))
      |> settle(referrer, hit)
    end)
  end

  defp add_cascade(cascade, name, hit), do: Map.update(cascade, name, hit, &(&1 ++ hit))

  defp content_key(%{type: type}, {key, _value}) when type in [:pom, :to_one], do: key
  defp content_key(_table, element), do: element

  defp fetch!(model, name) do
    case model.tables do
      %{^name => table} -> table
      _none -> throw({:error, :no_table})
    end
  end

  defp put_table(model, table), do: put_in(model.tables[table.name], table)
end
