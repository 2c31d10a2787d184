defmodule Rhizome.ForkTest do
  use Rhizome.Case, async: true

  alias Rhizome.{Batch, Error, Fork}

  doctest Rhizome.Fork

  setup do
    %{store: start_store()}
  end

  describe "a fork" do
    test "is written to by every function, and only it", %{store: store} do
      set = table(store, :set, [1, 2])
      owns = table(store, :one_to_many, ann: :sword)
      pom = table(store, :pom, ["a"])
      before = contents(store)
      fork = Rhizome.fork!(store)
      [set, owns, pom] = for table <- [set, owns, pom], do: Rhizome.on(table, fork)

      assert Rhizome.insert!(set, 3).outcome == :inserted
      assert Rhizome.insert_new!(owns, {:bob, :sword}).outcome == :exists
      assert Rhizome.put!(Rhizome.bwd(owns), :sword, :bob).evicted == [sword: :ann]
      assert Rhizome.insert_all!(Rhizome.fwd(owns, :bob), [:axe, :bow]).count == 2
      assert Rhizome.insert_rows!(pom, ["b", "c"]) == [2, 3]
      assert Rhizome.update_row!(pom, 1, "A").evicted == [{1, "a"}]
      assert Rhizome.delete_row!(pom, 2).count == 1
      assert Rhizome.delete!(set, 1).outcome == :deleted
      assert Rhizome.delete_all!(set, [2]).count == 1
      assert Rhizome.delete_key!(owns, :ann).count == 0
      assert Enum.into([7, 8], set) == set
      {:ok, new} = Rhizome.create_table(fork, :new, :to_one, fwd: {set, :evict})
      assert Rhizome.put!(new, 7, "seven").outcome == :inserted
      assert {:error, %Error{code: :missing_reference}} = Rhizome.put(new, 9, "nine")
      assert Rhizome.delete!(set, 7).cascade == [{:new, [{7, "seven"}]}]

      batch = Batch.new() |> Batch.insert(set, 5) |> Batch.insert_row(pom, "d")
      assert [%{outcome: :inserted}, 4] = Rhizome.run!(fork, batch)

      assert Enum.to_list(set) == [3, 5, 8]
      assert Enum.to_list(owns) == [bob: :axe, bob: :bow, bob: :sword]
      assert Enum.to_list(pom) == [{1, "A"}, {3, "c"}, {4, "d"}]
      assert contents(store) == before
      after_it = contents(fork)

      seq = Rhizome.info(store).seq
      assert Rhizome.commit(fork) == {:ok, seq + 1}
      assert contents(store) == after_it
      assert Rhizome.info(store).snapshot_count == 0
    end

    defp contents(target) do
      for table <- Rhizome.tables(target), do: {table.name, table.type, Rhizome.to_list(table)}
    end

    test "can be discarded, and dies with its process", %{store: store} do
      set = table(store, :set, [1])
      fork = Rhizome.fork!(store)
      Rhizome.clear!(Rhizome.on(set, fork))
      assert Rhizome.discard(fork) == :ok
      assert {:error, %Error{code: :no_snapshot}} = Rhizome.insert(Rhizome.on(set, fork), 2)
      assert {:error, %Error{code: :no_snapshot}} = Rhizome.commit(fork)

      Task.await(Task.async(fn -> Rhizome.insert!(Rhizome.on(set, Rhizome.fork!(store)), 2) end))

      await(fn -> Rhizome.info(store).snapshot_count == 0 end)
      assert Rhizome.to_list(set) == [1]
    end

    test "that has written nothing commits and takes no seq", %{store: store} do
      set = table(store, :set, [1])
      fork = Rhizome.fork!(store)
      assert Rhizome.to_list(set, at: fork) == [1]
      Rhizome.insert!(set, 2)
      assert Rhizome.commit(fork) == {:ok, fork.seq}
      assert Rhizome.info(store).seq == fork.seq + 1
    end

    test "of a snapshot begins as that is; of a fork there is none", %{store: store} do
      set = table(store, :set, [1])
      snapshot = Rhizome.snapshot!(store)
      Rhizome.insert!(set, 2)
      fork = Rhizome.fork!(snapshot)
      assert fork.seq == snapshot.seq
      assert Rhizome.to_list(set, at: fork) == [1]
      Rhizome.insert!(Rhizome.on(set, fork), 3)
      assert {:error, %Error{code: :conflict}} = Rhizome.commit(fork)
      assert Rhizome.to_list(set, at: snapshot) == [1]
      assert_raise ArgumentError, fn -> Rhizome.fork(Rhizome.fork!(store)) end
    end

    test "names what it met, and is gone then", %{store: store} do
      names = table(store, :to_one, [{1, :a}])
      fork = Rhizome.fork!(store)
      Rhizome.put!(Rhizome.on(names, fork), 2, Rhizome.get(names, 1, nil, at: fork))
      Rhizome.put!(names, 1, :b)
      assert {:error, %Error{code: :conflict, details: details}} = Rhizome.commit(fork)
      assert {details.table, details.key} == {names.name, 1}
      assert {:error, %Error{code: :no_snapshot}} = Rhizome.commit(fork)
      assert_raise Error, ~r/no_snapshot/, fn -> Rhizome.commit!(fork) end
      assert Rhizome.to_list(names) == [{1, :b}]
    end

    test "takes handles of itself and of its store, and nothing else's", %{store: store} do
      set = table(store, :set)
      fork = Rhizome.fork!(store)
      other = Rhizome.on(set, Rhizome.fork!(store))
      mine = Rhizome.on(set, fork)

      batch = Batch.new() |> Batch.insert(set, 1) |> Batch.insert(mine, 2)
      assert [_, _] = Rhizome.run!(fork, batch)
      assert Rhizome.to_list(mine) == [1, 2]

      assert_raise ArgumentError, ~r/and is to run on/, fn -> Rhizome.run(store, batch) end

      assert_raise ArgumentError, ~r/and is to run on/, fn ->
        Rhizome.run(fork, Batch.insert(Batch.new(), other, 1))
      end

      assert_raise ArgumentError, ~r/cannot refer to/, fn ->
        Rhizome.create_table(store, :t, :to_many, fwd: {mine, :evict})
      end

      assert {:ok, _table} = Rhizome.create_table(fork, :t, :to_many, fwd: {set, :evict})
      assert {:ok, _table} = Rhizome.create_table(fork, :u, :to_many, fwd: {mine, :evict})
      assert Rhizome.to_list(set) == []
    end

    test "has no use for what is for the store", %{store: store} do
      set = Rhizome.on(table(store, :set), Rhizome.fork!(store))
      assert_raise ArgumentError, fn -> Rhizome.insert(set, 1, expect: 0) end
      assert_raise ArgumentError, fn -> Rhizome.insert(set, 1, idempotency_key: 0) end
      assert_raise ArgumentError, ~r/:await/, fn -> Rhizome.insert(set, 1, await: false) end
      assert_raise ArgumentError, fn -> Rhizome.info(set.store) end
      assert_raise ArgumentError, fn -> Rhizome.commit(store) end
      assert inspect(set.store) =~ ~r/^#Rhizome.Fork<#PID<.*> from seq 1>$/
      assert %Fork{seq: 1} = set.store
    end
  end

  describe "expect:" do
    test "a mutation is carried out at the seq that it expects, or not", %{store: store} do
      set = table(store, :set)
      pom = table(store, :pom)
      seq = Rhizome.info(store).seq

      assert {:ok, %{outcome: :inserted}} = Rhizome.insert(set, 1, expect: seq)
      assert {:error, %Error{code: :stale} = error} = Rhizome.insert(set, 2, expect: seq)
      assert {error.details.expected, error.details.seq} == {seq, seq + 1}
      assert Rhizome.insert_row!(pom, "a", expect: seq + 1) == 1
      assert Rhizome.insert_rows!(pom, ["b"], expect: seq + 2) == [2]

      batch = Batch.new() |> Batch.insert(set, 3) |> Batch.insert_row(pom, "c")
      assert {:error, %Error{code: :stale}} = Rhizome.run(store, batch, expect: seq)
      assert [%{outcome: :inserted}, 3] = Rhizome.run!(store, batch, expect: seq + 3)
      assert {:ok, new} = Rhizome.create_table(store, :new, :set, expect: seq + 4)
      assert {:error, %Error{code: :stale}} = Rhizome.drop_table(new, expect: seq)
      assert Rhizome.drop_table(new, expect: seq + 5) == :ok
      assert Rhizome.clear!(set, expect: seq + 6).count == 2
      assert Rhizome.info(store).seq == seq + 7
    end

    test "what was done under a key is done, whatever is expected", %{store: store} do
      pom = table(store, :pom)
      seq = Rhizome.info(store).seq
      options = [expect: seq, idempotency_key: "order 7"]
      assert for(_twice <- 1..2, do: Rhizome.insert_row!(pom, "tea", options)) == [1, 1]
    end

    test "the seq behind it is there for handles", %{store: store} do
      set = table(store, :set)
      seq = Rhizome.info(store).seq
      insert = &Rhizome.Op.insert(Rhizome.fwd(set), &1)
      assert {:ok, %{outcome: :inserted}, next} = Rhizome.expecting(set, insert.(1), seq)
      assert next == seq + 1
      assert {:ok, %{outcome: :exists}, ^next} = Rhizome.expecting(set, insert.(1), next)
      assert {:error, %Error{code: :stale}} = Rhizome.expecting(store, insert.(2), seq)

      assert {:ok, [%{outcome: :inserted}], _seq} =
               Rhizome.expecting(store, {:batch, [insert.(2)]}, next, timeout: 1_000)
    end
  end
end
