defmodule Rhizome.HandleTest do
  use Rhizome.Case, async: true

  alias Rhizome.{Batch, Change, Error, Handle, StaleError}

  doctest Rhizome.Handle
  doctest Rhizome.StaleError

  setup do
    %{store: start_store()}
  end

  # Every mutation that a handle has, of a handle of a one_to_many and one of a pom.
  defp mutations(pairs, rows) do
    batch = Batch.insert(Batch.new(), pairs.view, {:cid, :rope})

    [
      {pairs, :insert, [{:ann, :axe}]},
      {pairs, :put, [:ann, :bow]},
      {pairs, :insert_new, [{:bob, :cup}]},
      {pairs, :put_new, [:bob, :dart]},
      {pairs, :insert_all, [[{:bob, :egg}, {:bob, :flag}]]},
      {pairs, :delete, [{:ann, :axe}]},
      {pairs, :delete_all, [[{:ann, :bow}, {:bob, :cup}]]},
      {pairs, :delete_key, [:bob]},
      {pairs, :run, [batch]},
      {pairs, :clear, []},
      {rows, :insert_row, ["a"]},
      {rows, :insert_rows, [["b", "c"]]},
      {rows, :update_row, [1, "A"]},
      {rows, :delete_row, [2]}
    ]
  end

  defp handles(store) do
    [pairs, rows] = for type <- [:one_to_many, :pom], do: table(store, type)
    {Handle.new(pairs), Handle.new(rows)}
  end

  describe "mutations" do
    test "each gives the next handle, with what it returned", %{store: store} do
      {pairs, rows} = handles(store)

      {results, last} =
        Enum.map_reduce(mutations(pairs, rows), pairs, fn {of, name, arguments}, handle ->
          handle = Handle.focus(handle, of.view)
          {:ok, next} = apply(Handle, name, [handle | arguments])
          assert next.seq == handle.seq + 1
          assert next.view == handle.view
          {{name, next.result}, next}
        end)

      assert last.seq == Rhizome.info(store).seq
      assert %Change{outcome: :inserted} = results[:insert]
      assert results[:insert_all].outcome == 2
      assert results[:delete_key].evicted == [bob: :dart, bob: :egg, bob: :flag]
      assert [%Change{outcome: :inserted}] = results[:run]
      assert results[:clear].count == 1
      assert results[:insert_row] == 1
      assert results[:insert_rows] == [2, 3]
      assert results[:update_row].evicted == [{1, "a"}]
      assert Handle.to_list(last) == [{1, "A"}, {3, "c"}]
    end

    test "the twins with ! return the handle or raise", %{store: store} do
      {pairs, rows} = handles(store)

      for {of, name, arguments} <- mutations(pairs, rows) do
        handle = Handle.refresh(of)
        assert %Handle{} = apply(Handle, :"#{name}!", [handle | arguments])
        assert_raise StaleError, fn -> apply(Handle, :"#{name}!", [of | arguments]) end
      end

      handle = Handle.refresh(rows)
      assert {:error, %Error{code: :not_found}} = Handle.update_row(handle, 99, "x")
      assert_raise Error, fn -> Handle.update_row!(handle, 99, "x") end
    end

    test "an old handle changes nothing and says both seqs", %{store: store} do
      {pairs, rows} = handles(store)
      other = table(store, :set)
      Rhizome.insert!(other, :moved)
      %{seq: seq, tables: tables} = Rhizome.info(store)

      for {of, name, arguments} <- mutations(pairs, rows) do
        error = assert_raise StaleError, fn -> apply(Handle, name, [of | arguments]) end
        assert error.expected == of.seq
        assert error.seq == seq
        assert error.store == store
        assert Exception.message(error) =~ "#{of.seq}"
        assert Exception.message(error) =~ "#{seq}"
      end

      assert %{seq: ^seq, tables: ^tables} = Rhizome.info(store)
      assert_raise StaleError, fn -> Handle.run(pairs, Batch.new()) end
    end

    test "what changes nothing leaves the handle good", %{store: store} do
      set = table(store, :set, [1])
      h1 = Handle.new(set)
      assert {:ok, h2} = Handle.insert(h1, 1)
      assert h2.result.outcome == :exists
      assert h2.seq == h1.seq
      assert {:ok, h2} = Handle.run(h1, Batch.new())
      assert h2.result == []
      assert {:error, %Error{code: :too_big}} = Handle.insert(h1, String.duplicate("k", 100_000))
      assert {:ok, h2} = Handle.insert(h1, 2)
      assert h2.seq == h1.seq + 1
    end

    test "of many who hold the same handle one succeeds", %{store: store} do
      handle = Handle.new(table(store, :set))

      outcomes =
        1..20
        |> Task.async_stream(
          fn n ->
            try do
              {:ok, %Handle{}} = Handle.insert(handle, n)
              :done
            rescue
              error in StaleError -> error.seq
            end
          end,
          max_concurrency: 20
        )
        |> Enum.map(fn {:ok, outcome} -> outcome end)

      assert Enum.count(outcomes, &(&1 == :done)) == 1
      assert Enum.uniq(outcomes -- [:done]) == [handle.seq + 1]
      assert Rhizome.count(handle.view) == 1
    end

    test "with an idempotency key a retry gives the same handle", %{store: store} do
      rows = Handle.new(table(store, :pom))
      assert {:ok, first} = Handle.insert_row(rows, "tea", idempotency_key: :order)
      Handle.insert_row!(first, "milk")
      assert {:ok, ^first} = Handle.insert_row(rows, "tea", idempotency_key: :order)
      assert_raise StaleError, fn -> Handle.insert_row(first, "more") end
    end

    test "into a handle gives a handle", %{store: store} do
      handle = Enum.into(1..2_500, Handle.new(table(store, :set)))
      assert %Handle{} = handle
      assert Enum.count(handle) == 2_500
      rows = for value <- ["a", "b"], into: Handle.new(table(store, :pom)), do: value
      assert Enum.to_list(rows) == [{1, "a"}, {2, "b"}]
      assert_raise StaleError, fn -> Enum.into([0], handle) end
    end
  end

  describe "reads" do
    test "answer from the state that the handle stands for", %{store: store} do
      names = table(store, :to_one, [{1, "Ann"}, {2, "Bob"}])
      h = Handle.new(names)
      assert Handle.get(h, 1) == "Ann"
      assert Handle.get(h, 3, :none) == :none
      assert Handle.fetch(h, 2) == {:ok, "Bob"}
      assert {:error, %Error{code: :not_found}} = Handle.fetch(h, 3)
      assert Handle.fetch!(h, 2) == "Bob"
      assert Handle.member?(h, {1, "Ann"})
      assert Handle.has_key?(h, 2)
      assert Handle.count(h, from: 2) == 1
      assert Handle.first(h) == {1, "Ann"}
      assert Handle.last(h) == {2, "Bob"}
      assert Handle.to_list(h, reverse: true) == [{2, "Bob"}, {1, "Ann"}]
      assert Handle.read(h, &Rhizome.at(&1, -1)) == {2, "Bob"}
      assert Enum.map(h, fn {id, _name} -> id end) == [1, 2]
      assert {1, "Ann"} in h
      refute :nothing in h
      assert Enum.at(h, 1) == {2, "Bob"}
      assert Enum.take(h, -1) == [{2, "Bob"}]

      owns = Handle.new(table(store, :one_to_many, [{:ann, :sword}, {:ann, :bow}]))
      held = Handle.focus(owns, %{owns.view | held: {:key, :ann}})
      assert Enum.to_list(held) == [:bow, :sword]
    end

    test "raise when the store has moved on, by whatever table", %{store: store} do
      h = Handle.new(table(store, :to_one, [{1, "Ann"}]))
      table(store, :set)

      for read <- [
            &Handle.get(&1, 1),
            &Handle.fetch(&1, 1),
            &Handle.fetch!(&1, 1),
            &Handle.member?(&1, {1, "Ann"}),
            &Handle.has_key?(&1, 1),
            &Handle.count/1,
            &Handle.first/1,
            &Handle.last/1,
            &Handle.to_list/1,
            &Enum.to_list/1,
            &Enum.count/1,
            &Handle.read(&1, fn _view -> :nothing end)
          ] do
        error = assert_raise StaleError, fn -> read.(h) end
        assert error.seq > error.expected
      end

      assert Handle.get(Handle.refresh(h), 1) == "Ann"
    end

    test "an enumeration ends where the store moves on", %{store: store} do
      h = Enum.into(1..2_500, Handle.new(table(store, :set)))

      assert_raise StaleError, fn ->
        Enum.each(h, fn n ->
          if n == 500, do: Rhizome.insert!(h.view, 0)
          Process.put(:seen, n)
        end)
      end

      # The page that was there already is of one state, and nothing came behind it.
      assert Process.get(:seen) == 1_000
    end

    test "that the store has moved on is told before what follows from it", %{store: store} do
      h = Handle.new(table(store, :set, [1]))
      :ok = Rhizome.drop_table(%Rhizome.Table{store: store, name: h.view.table, type: :set})
      assert_raise StaleError, fn -> Handle.count(h) end
      assert_raise StaleError, fn -> Handle.insert(h, 2) end
      assert_raise Error, fn -> Handle.count(Handle.refresh(h)) end
    end
  end

  describe "restarts" do
    @describetag :tmp_dir
    @describetag :capture_log

    test "a handle of a store on the disk stays good", %{tmp_dir: tmp_dir} do
      {:ok, _} = start_supervised({Rhizome, name: HandleOnDisk, dir: Path.join(tmp_dir, "data")})

      h = Handle.new(Rhizome.create_table!(HandleOnDisk, :primes, :set))
      h = Handle.insert!(h, 2)
      restart(HandleOnDisk)
      assert Handle.to_list(h) == [2]
      assert {:ok, h2} = Handle.insert(h, 3)
      assert_raise StaleError, fn -> Handle.insert(h, 5) end
      assert Handle.to_list(h2) == [2, 3]
    end

    test "one of a store in memory does not, though the seq be the same" do
      {:ok, _} = start_supervised({Rhizome, name: HandleInMemory})
      h = Handle.new(Rhizome.create_table!(HandleInMemory, :primes, :set))
      restart(HandleInMemory)
      Rhizome.create_table!(HandleInMemory, :primes, :set)
      assert Rhizome.info(HandleInMemory).seq == h.seq

      for use <- [&Handle.insert(&1, 2), &Handle.to_list/1] do
        error = assert_raise StaleError, fn -> use.(h) end
        assert error.seq == nil
        assert Exception.message(error) =~ "started again"
      end

      h = Handle.refresh(h)
      assert {:ok, _h} = Handle.insert(h, 2)
      :ok = stop_supervised(HandleInMemory)
      assert {:error, %Error{code: :stopped}} = Handle.insert(h, 2)

      assert {:error, %Error{code: :stopped}} =
               Handle.fetch(%{h | view: %{h.view | type: :to_one}}, 2)
    end

    defp restart(name) do
      pid = Process.whereis(name)
      signal(daemon(pid), "KILL")
      await(fn -> Process.whereis(name) not in [nil, pid] end)
      await(fn -> Rhizome.ping(name) == :ok end)
    end
  end

  describe "arguments" do
    test "what is no handle and no head is refused", %{store: store} do
      set = table(store, :set)
      {:ok, snapshot} = Rhizome.snapshot(store)
      assert_raise ArgumentError, ~r/Snapshot/, fn -> Handle.new(Rhizome.on(set, snapshot)) end
      h = Handle.new(set)
      assert_raise ArgumentError, fn -> Handle.focus(h, Rhizome.on(set, snapshot)) end
      assert_raise ArgumentError, fn -> Handle.insert(set, 1) end
      assert_raise ArgumentError, fn -> Handle.insert(h, 1, expect: 3) end
      assert_raise ArgumentError, fn -> Handle.insert(h, 1, timeout: :never) end
      assert_raise ArgumentError, fn -> Handle.put(h, 1, 2) end
      assert_raise ArgumentError, fn -> Handle.focus(h, table(start_store(), :set)) end
      assert_raise ArgumentError, fn -> Handle.run(h, :no_batch) end
    end

    test "a handle shows names and no data", %{store: store} do
      h = Handle.new(Rhizome.create_table!(store, :owns, :one_to_many))

      assert inspect(h) ==
               "#Rhizome.Handle<the fwd side of :owns (one_to_many), seq 1, #{inspect(store)}>"
    end
  end
end
