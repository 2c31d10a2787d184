defmodule RhizomeTest do
  use Rhizome.Case, async: true

  alias Rhizome.{Change, Error, Page}

  doctest Rhizome
  doctest Rhizome.Batch
  doctest Rhizome.Change
  doctest Rhizome.Error
  doctest Rhizome.Page
  doctest Rhizome.Table
  doctest Rhizome.Telemetry
  doctest Rhizome.View

  setup do
    %{store: start_store()}
  end

  describe "tables" do
    test "are created once and listed in the order of their names", %{store: store} do
      for name <- ["b", :a, {1, 2}, 7] do
        assert {:ok, table} = Rhizome.create_table(store, name, :set)
        assert Rhizome.create_table(store, name, :set) == {:ok, table}
        assert Rhizome.table(store, name) == {:ok, table}
      end

      assert Enum.map(Rhizome.tables(store), & &1.name) == [7, :a, {1, 2}, "b"]
    end

    test "an existing one is an error with another type or if it must be new", %{store: store} do
      Rhizome.create_table!(store, :t, :set)
      assert {:error, %Error{code: :table_exists}} = Rhizome.create_table(store, :t, :pom)

      assert {:error, %Error{code: :table_exists}} =
               Rhizome.create_table(store, :t, :set, if_exists: :error)
    end

    test "a dropped one is gone", %{store: store} do
      set = Rhizome.create_table!(store, :t, :set)
      assert Rhizome.drop_table!(set) == :ok
      assert {:error, %Error{code: :no_table}} = Rhizome.drop_table(set)
      assert_raise Error, ~r/no_table/, fn -> Rhizome.to_list(set) end
      assert_raise Error, ~r/no_table/, fn -> Rhizome.insert!(set, 1) end
    end

    test "a table that is referred to is not dropped", %{store: store} do
      people = Rhizome.create_table!(store, :people, :to_one)
      Rhizome.create_table!(store, :owns, :one_to_many, fwd: {people, :restrict})
      assert {:error, %Error{code: :restricted}} = Rhizome.drop_table(people)
      assert Rhizome.table_info(Rhizome.table!(store, :owns)).references[:fwd]
    end

    test "wrong types and options raise", %{store: store} do
      assert_raise ArgumentError, ~r/one of \[:pom/, fn ->
        Rhizome.create_table(store, :t, :bag)
      end

      assert_raise ArgumentError, ~r/option :fwd must be/, fn ->
        Rhizome.create_table(store, :t, :set, fwd: :people)
      end
    end
  end

  describe "arguments that cannot be right raise before anything is sent" do
    setup %{store: store} do
      %{
        set: table(store, :set, [1]),
        pom: table(store, :pom, [:a]),
        one: table(store, :to_one),
        many: table(store, :many_to_many)
      }
    end

    test "sides and held sets that a type has not", %{set: set, pom: pom, one: one} do
      assert_raise ArgumentError, ~r/has no bwd side/, fn -> Rhizome.bwd(set) end
      assert_raise ArgumentError, ~r/use member\?/, fn -> Rhizome.fwd(set, 1) end
      assert_raise ArgumentError, ~r/use get/, fn -> Rhizome.fwd(one, 1) end
      assert_raise ArgumentError, ~r/insert_row/, fn -> Rhizome.insert(pom, {1, :a}) end
      assert_raise ArgumentError, ~r/type :pom/, fn -> Rhizome.insert_row(set, 1) end
    end

    test "elements of the wrong shape", %{many: many, one: one} do
      assert_raise ArgumentError, ~r/{key, partner}/, fn -> Rhizome.insert(many, :a) end
      assert_raise ArgumentError, ~r/{key, value}/, fn -> Rhizome.delete(one, {1, 2, 3}) end

      assert_raise ArgumentError, ~r/{key, partner}/, fn ->
        Rhizome.insert_all(many, [{1, 2}, 3])
      end

      assert_raise ArgumentError, ~r/{key, partner}/, fn -> Rhizome.to_list(many, after: 1) end
    end

    test "get where a key may have many partners", %{many: many, set: set} do
      assert_raise ArgumentError, ~r/fwd\(table, key\)/, fn -> Rhizome.get(many, 1) end

      assert_raise ArgumentError, ~r/bwd\(table, key\)/, fn ->
        Rhizome.fetch(Rhizome.bwd(many), 1)
      end

      assert_raise ArgumentError, ~r/member\?/, fn -> Rhizome.get(set, 1) end

      assert_raise ArgumentError, ~r/no keys/, fn -> Rhizome.keys(Rhizome.fwd(many, 1)) end
    end

    test "put where there are no keys with partners", %{many: many, set: set, pom: pom} do
      batch = Rhizome.Batch.new()

      for {view, expected} <- [
            {Rhizome.fwd(many, 1), ~r/one key/},
            {set, ~r/use insert/},
            {pom, ~r/insert_row/}
          ] do
        assert_raise ArgumentError, expected, fn -> Rhizome.put(view, 1, 2) end
        assert_raise ArgumentError, expected, fn -> Rhizome.Batch.put(batch, view, 1, 2) end
      end
    end

    test "keys where elements are deleted", %{pom: pom, one: one, set: set} do
      batch = Rhizome.Batch.new()
      assert_raise ArgumentError, ~r/delete_row/, fn -> Rhizome.delete(pom, 1) end
      assert_raise ArgumentError, ~r/delete_row/, fn -> Rhizome.delete_all(pom, [1]) end
      assert_raise ArgumentError, ~r/delete_key/, fn -> Rhizome.delete(one, 1) end
      assert_raise ArgumentError, ~r/delete_key/, fn -> Rhizome.Batch.delete(batch, one, 1) end
      assert_raise ArgumentError, ~r/type :pom/, fn -> Rhizome.delete_row(set, 1) end
    end

    test "options", %{set: set} do
      assert_raise ArgumentError, ~r/unknown option :form/, fn ->
        Rhizome.to_list(set, form: 1)
      end

      assert_raise ArgumentError, ~r/exclude each other/, fn ->
        Rhizome.count(set, from: 1, beyond: 1)
      end

      assert_raise ArgumentError, ~r/:limit must be/, fn -> Rhizome.page(set, limit: 0) end

      assert_raise ArgumentError, ~r/:timeout must be/, fn ->
        Rhizome.ping(set.store, timeout: -1)
      end

      assert_raise ArgumentError, ~r/:cursor must be/, fn -> Rhizome.page(set, cursor: 1) end

      assert_raise ArgumentError, ~r/exclude each other/, fn ->
        Rhizome.page(set, from: 1, cursor: Rhizome.page!(set, limit: 1).next || {:after, 1})
      end

      assert Rhizome.page!(set, from: 1, cursor: nil).items == [1]

      assert_raise ArgumentError, ~r/:from is given more than once/, fn ->
        Rhizome.to_list(set, from: 1, from: 2)
      end

      for {name, fun} <- [
            {:limit, &Rhizome.page(set, limit: &1)},
            {:page_size, &Rhizome.to_list(set, page_size: &1)},
            {:position, &Rhizome.at(set, &1)}
          ] do
        assert_raise ArgumentError, ~r/option #{inspect(name)} must be/, fn -> fun.(2 ** 63) end
      end
    end

    test "what is no table", %{store: store} do
      assert_raise ArgumentError, ~r/expected a %Rhizome.Table/, fn -> Rhizome.count(store) end
      assert_raise ArgumentError, ~r/expected a %Rhizome.Table/, fn -> Rhizome.fwd(:t) end

      for fun <- [
            &Rhizome.clear/1,
            &Rhizome.drop_table/1,
            &Rhizome.table_info/1,
            &Rhizome.Batch.drop_table(Rhizome.Batch.new(), &1)
          ],
          wrong <- [:t, 5] do
        assert_raise ArgumentError, ~r/expected a %Rhizome.Table/, fn -> fun.(wrong) end
      end
    end

    test "what is no store, no batch and no range", %{store: store, set: set} do
      for wrong <- [5, nil, "store", {1, 2}] do
        assert_raise ArgumentError, ~r/expected a store/, fn -> Rhizome.ping(wrong) end
      end

      for fun <- [
            &Rhizome.run(store, &1),
            &Rhizome.Batch.insert(&1, set, 1),
            &Rhizome.Batch.clear(&1, set),
            &Rhizome.Batch.create_table(&1, :t, :set)
          ] do
        assert_raise ArgumentError, ~r/expected a %Rhizome.Batch/, fn -> fun.([]) end
      end

      assert_raise ArgumentError, ~r/keyword list/, fn ->
        Rhizome.Batch.create_table(Rhizome.Batch.new(), :t, :set, 5)
      end

      assert_raise ArgumentError, ~r/a range of positions/, fn -> Rhizome.slice(set, :a) end
      assert_raise ArgumentError, ~r/:position must be/, fn -> Rhizome.slice(set, :a, 1) end
      assert_raise ArgumentError, ~r/:limit must be/, fn -> Rhizome.slice(set, 0, -1) end
    end

    test "references to tables of another store", %{store: store} do
      other = table(start_store(), :set)
      options = [fwd: {other, :evict}]

      assert_raise ArgumentError, ~r/cannot refer/, fn ->
        Rhizome.create_table(store, :refers, :to_many, options)
      end

      batch = Rhizome.Batch.create_table(Rhizome.Batch.new(), :refers, :to_many, options)
      assert_raise ArgumentError, ~r/to run on/, fn -> Rhizome.run(store, batch) end
      assert Rhizome.run!(other.store, batch) == [:created]
    end
  end

  describe "values and keys" do
    test "any term comes back as it was", %{store: store} do
      terms = [
        self(),
        make_ref(),
        &String.upcase/1,
        fn x -> {x, store} end,
        hd(Port.list()),
        %{nested: [%{1 => 1.0}, ~D[2024-02-29]]},
        String.duplicate("x", 100_000),
        -123_456_789_012_345_678_901_234_567_890,
        1.5e300,
        <<1::5>>,
        [:improper | :list],
        :"ünïcode atom",
        ~c"characters",
        Enum.to_list(1..1_000)
      ]

      pom = table(store, :pom)
      ids = Rhizome.insert_rows!(pom, terms)
      assert Rhizome.values(pom) === terms
      assert Enum.map(ids, &Rhizome.get(pom, &1)) === terms
      keys = Enum.reject(terms, &(is_binary(&1) and byte_size(&1) > 32_000))
      set = table(store, :set, keys)
      assert MapSet.new(set) == MapSet.new(keys)
    end

    test "keys are in Erlang's order, and 1 and 1.0 are two", %{store: store} do
      keys = [1, 1.0, 2, :a, {}, %{}, [], [1], ""]
      assert Enum.to_list(table(store, :set, Enum.shuffle(keys))) === keys
    end

    test "-0.0 and 0.0 are two keys", %{store: store} do
      # The compiler may take one for the other.
      [minus, plus] = for bits <- [<<1::1, 0::63>>, <<0::64>>], <<f::float>> = bits, do: f
      assert Rhizome.count(table(store, :set, [minus, plus, minus])) == 2
    end

    test "nil is a key like any other", %{store: store} do
      set = table(store, :set, [1, nil, "a"])
      assert Rhizome.to_list(set, from: nil) == [nil, "a"]
      assert Rhizome.to_list(set, to: nil) == [1, nil]
      assert Rhizome.first(set, :none, from: nil) == nil
      one = table(store, :to_one, [{nil, nil}])
      assert Rhizome.fetch(one, nil) == {:ok, nil}
    end
  end

  describe "mutations" do
    test "bang twins return the result or raise", %{store: store} do
      pom = table(store, :pom)
      assert Rhizome.insert_row!(pom, :a) == 1
      assert %Change{outcome: :updated, count: 1} = Rhizome.update_row!(pom, 1, :b)
      assert_raise Error, ~r/not_found/, fn -> Rhizome.update_row!(pom, 2, :b) end
      assert_raise Error, ~r/not_found/, fn -> Rhizome.fetch!(pom, 2) end
    end

    test "the outcome says what happened, as a word and as a number", %{store: store} do
      set = table(store, :set)
      assert %Change{outcome: :inserted, count: 1} = Rhizome.insert!(set, 1)
      assert %Change{outcome: :exists, count: 0} = Rhizome.insert!(set, 1)
      assert %Change{outcome: :deleted, count: 1} = Rhizome.delete!(set, 1)
      assert %Change{outcome: :absent, count: 0} = Rhizome.delete!(set, 1)
      assert %Change{outcome: 2, count: 2} = Rhizome.insert_all!(set, [1, 2, 2])
      assert %Change{outcome: 2, count: 2} = Rhizome.clear!(set)
    end

    test "the memory limit refuses mutations while reads and deletes go on" do
      store = start_store(memory_limit: 1_000_000)
      one = table(store, :to_one)

      error =
        Enum.find_value(1..10_000, fn n ->
          case Rhizome.put(one, n, String.duplicate("x", 1_000)) do
            {:ok, _change} -> nil
            {:error, error} -> error
          end
        end)

      assert error.code == :memory_limit
      count = Rhizome.count(one)
      assert count > 10
      assert Rhizome.delete_key!(one, 1).count == 1
      assert Rhizome.count(one) == count - 1
    end
  end

  describe "batches" do
    test "create, fill and drop tables", %{store: store} do
      set = Rhizome.handle(store, :s, :set)

      batch =
        Rhizome.Batch.new()
        |> Rhizome.Batch.create_table(:s, :set)
        |> Rhizome.Batch.insert_all(set, [1, 2])
        |> Rhizome.Batch.delete_all(set, [2, 3])
        |> Rhizome.Batch.create_table(:s, :set)

      assert [:created, %Change{count: 2}, %Change{count: 1}, :exists] =
               Rhizome.run!(store, batch)

      batch = Rhizome.Batch.new() |> Rhizome.Batch.clear(set) |> Rhizome.Batch.drop_table(set)
      assert [%Change{count: 1}, :dropped] = Rhizome.run!(store, batch)
      assert Rhizome.run(store, Rhizome.Batch.new()) == {:ok, []}
    end

    test "change nothing if one of them fails", %{store: store} do
      set = table(store, :set)
      pom = table(store, :pom)

      batch =
        Rhizome.Batch.new()
        |> Rhizome.Batch.insert(set, 1)
        |> Rhizome.Batch.delete_key(set, 7)
        |> Rhizome.Batch.update_row(pom, 1, :x)
        |> Rhizome.Batch.insert(set, 2)

      assert {:error, %Error{code: :not_found, details: %{index: 2}}} = Rhizome.run(store, batch)
      assert_raise Error, ~r/index 2/, fn -> Rhizome.run!(store, batch) end
      assert Rhizome.count(set) == 0
    end

    test "take one seq", %{store: store} do
      set = table(store, :set)
      seq = Rhizome.info(store).seq
      batch = Enum.reduce(1..10, Rhizome.Batch.new(), &Rhizome.Batch.insert(&2, set, &1))
      Rhizome.run!(store, batch)
      assert Rhizome.info(store).seq == seq + 1
      assert inspect(batch) == "#Rhizome.Batch<10 mutations>"
    end

    test "are of one store", %{store: store} do
      other = table(start_store(), :set)
      batch = Rhizome.Batch.insert(Rhizome.Batch.new(), other, 1)
      assert_raise ArgumentError, ~r/to run on/, fn -> Rhizome.run(store, batch) end
    end
  end

  describe "ranges" do
    setup %{store: store} do
      elements = for a <- 1..4, b <- [:x, :y], do: {a, b}
      %{pairs: table(store, :many_to_many, elements), set: table(store, :set, Enum.to_list(1..9))}
    end

    test "by key, by element and by position, both ways", %{pairs: pairs, set: set} do
      assert Rhizome.to_list(pairs, from: 3) == [{3, :x}, {3, :y}, {4, :x}, {4, :y}]
      assert Rhizome.to_list(pairs, beyond: 3) == [{4, :x}, {4, :y}]
      assert Rhizome.to_list(pairs, after: {3, :x}, limit: 2) == [{3, :y}, {4, :x}]
      assert Rhizome.to_list(pairs, after: {3, :k}, limit: 1) == [{3, :x}]
      assert Rhizome.to_list(pairs, reverse: true, from: 1) == [{1, :y}, {1, :x}]
      assert Rhizome.to_list(pairs, reverse: true, before: 4) == []
      assert Rhizome.to_list(set, position: -3) == [7, 8, 9]
      assert Rhizome.to_list(set, position: -3, reverse: true, limit: 2) == [7, 6]
      assert Rhizome.to_list(set, position: 100) == []
      assert Rhizome.to_list(set, from: 3, before: 6) == [3, 4, 5]
      assert Rhizome.to_list(set, limit: 0) == []
      assert Rhizome.count(set, from: 3, to: 6) == 4
      assert Rhizome.count(Rhizome.bwd(pairs, :x), beyond: 2) == 2
    end

    test "slices are those of Enum, from before the beginning too", %{set: set} do
      list = Rhizome.to_list(set)

      for position <- -12..12, amount <- [0, 1, 3, 20, 2 ** 40] do
        assert Rhizome.slice(set, position, amount) == Enum.slice(list, position, amount)
      end
    end

    test "keys and values", %{pairs: pairs, set: set} do
      assert Rhizome.keys(pairs) == [1, 2, 3, 4]
      assert Rhizome.keys(pairs, page_size: 1, reverse: true) == [4, 3, 2, 1]
      assert Rhizome.keys(Rhizome.bwd(pairs)) == [:x, :y]
      assert Rhizome.values(pairs, from: 4) == [:x, :y]
      assert Rhizome.keys(set, limit: 2) == [1, 2]
      assert Rhizome.values(Rhizome.fwd(pairs, 1)) == [:x, :y]
      assert_raise ArgumentError, ~r/to_list/, fn -> Rhizome.values(set) end
    end

    test "next and prev walk through", %{pairs: pairs} do
      forward = Stream.iterate(Rhizome.first(pairs), &Rhizome.next(pairs, &1))
      assert forward |> Enum.take_while(& &1) == Rhizome.to_list(pairs)
      backward = Stream.iterate(Rhizome.last(pairs), &Rhizome.prev(pairs, &1))
      assert backward |> Enum.take_while(& &1) == Rhizome.to_list(pairs, reverse: true)
      one = table(pairs.store, :to_one, [{1, :a}, {2, :b}])
      assert Rhizome.next(one, 1) == {2, :b}
      assert Rhizome.prev(one, 2) == {1, :a}
      assert Rhizome.to_list(one, after: 1) == [{2, :b}]
      assert {Rhizome.rank(one, 2), Rhizome.position(one, 3)} == {1, nil}
      # A key of a :to_one may be a tuple; an id of a pom never is.
      tuples = table(pairs.store, :to_one, [{{1, 2}, :a}, {{1, 3}, :b}])
      assert Rhizome.next(tuples, {1, 2}) == {{1, 3}, :b}
      pom = table(pairs.store, :pom, [:a, :b])
      assert Rhizome.next(pom, 1) == {2, :b}

      for place <- [&Rhizome.next/2, &Rhizome.prev/2, &Rhizome.rank/2, &Rhizome.position/2] do
        assert_raise ArgumentError, ~r/its id alone/, fn -> place.(pom, {1, :a}) end
      end
    end

    test "pages go on where the last one ended, whatever the size", %{pairs: pairs} do
      for size <- 1..9, reverse <- [false, true], what <- [:elements, :keys, :values] do
        options = [limit: size, reverse: reverse, what: what]

        pages =
          Stream.unfold(:start, fn
            nil ->
              nil

            cursor ->
              cursor = if cursor == :start, do: nil, else: cursor
              %Page{} = page = Rhizome.page!(pairs, [cursor: cursor] ++ options)
              {page.items, page.next}
          end)

        expected = pairs |> Rhizome.stream(what: what, reverse: reverse) |> Enum.to_list()
        assert Enum.concat(pages) == expected
      end
    end

    test "a page of large items ends early and the list is whole", %{store: store} do
      values = for n <- 1..10, do: String.duplicate("#{n}", 300_000)
      pom = table(store, :pom, values)
      {:ok, page} = Rhizome.page(pom, limit: 10)
      assert length(page.items) < 10 and page.next
      assert Rhizome.values(pom) == values
    end
  end
end
