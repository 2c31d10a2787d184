defmodule Rhizome.SnapshotTest do
  # Snapshots, and what is common to all versions: handles, holders, their end.
  use Rhizome.Case, async: true

  alias Rhizome.{Batch, Error, Snapshot}

  doctest Rhizome.Snapshot

  setup do
    %{store: start_store()}
  end

  describe "a snapshot" do
    test "is read by every function, and stays what it was", %{store: store} do
      for {type, elements} <- [
            set: Enum.to_list(1..2_000),
            to_one: for(n <- 1..2_000, do: {n, n}),
            pom: Enum.to_list(1..2_000),
            many_to_many: for(n <- 1..2_000, do: {rem(n, 50), n})
          ] do
        table = table(store, type, elements)
        before = facts(table)
        snapshot = Rhizome.snapshot!(store)
        assert facts(Rhizome.on(table, snapshot)) == before

        change(table)
        assert facts(table) != before
        assert facts(Rhizome.on(table, snapshot)) == before
        Rhizome.drop_table!(table)
        assert facts(Rhizome.on(table, snapshot)) == before
        Rhizome.release(snapshot)
      end
    end

    defp facts(table) do
      %{count: count} = Rhizome.table_info(table)
      list = Rhizome.to_list(table)
      assert count == length(list) and count == Enum.count(table)
      assert list == Enum.to_list(table)
      assert list == Enum.to_list(Rhizome.stream(table, page_size: 99))
      assert Enum.reverse(list) == Rhizome.to_list(table, reverse: true)
      assert Enum.at(list, 700) == Rhizome.at(table, 700)
      assert Enum.slice(list, 500, 20) == Rhizome.slice(table, 500, 20)
      assert {List.first(list), List.last(list)} == {Rhizome.first(table), Rhizome.last(table)}
      assert Rhizome.member?(table, List.first(list))
      assert Rhizome.key_count(table) == length(Rhizome.keys(table))
      {list, Rhizome.has_key?(table, 7), Rhizome.page!(table, limit: 3)}
    end

    defp change(%{type: :pom} = table) do
      Rhizome.delete_row!(table, 1)
      Rhizome.update_row!(table, 8, "new")
    end

    defp change(table) do
      Rhizome.delete_key!(table, 7)
      Rhizome.insert!(table, if(table.type == :set, do: 0, else: {0, 0}))
    end

    test "takes the place of the store as an argument and an option", %{store: store} do
      one = table(store, :to_one, [{1, :old}])
      snapshot = Rhizome.snapshot!(store)
      Rhizome.put!(one, 1, :new)
      other = Rhizome.create_table!(store, :other, :set)

      assert [%{store: ^snapshot} = then] = Rhizome.tables(snapshot)
      assert Rhizome.tables(store, at: snapshot) == [then]
      assert Rhizome.table!(snapshot, one.name) == then
      assert Rhizome.handle(snapshot, one.name, :to_one) == then
      assert Rhizome.on(one, snapshot) == then
      assert Rhizome.on(then, store) == one
      assert {:error, %Error{code: :no_table}} = Rhizome.table(store, :other, at: snapshot)
      assert Rhizome.table_info(other).count == 0

      assert Rhizome.get(one, 1, nil, at: snapshot) == :old
      assert Rhizome.get(then, 1) == :old
      assert Rhizome.fetch!(one, 1, at: snapshot) == :old
      assert Rhizome.to_list(one, at: snapshot) == [{1, :old}]
      assert Rhizome.values(one, at: snapshot) == [:old]
      assert Rhizome.page!(one, at: snapshot).items == [{1, :old}]
      assert one |> Rhizome.stream(at: snapshot) |> Enum.to_list() == [{1, :old}]
      assert Rhizome.first(one, nil, at: snapshot) == {1, :old}
      assert Rhizome.member?(one, {1, :old}, at: snapshot)
      assert Rhizome.rank(one, 2, at: snapshot) == 1
      assert Rhizome.count(one, at: snapshot) == 1
      assert Rhizome.digest!(snapshot) == Rhizome.digest!(store, at: snapshot)
      assert Rhizome.digest!(snapshot).seq == snapshot.seq
      assert Rhizome.digest!(snapshot).digest != Rhizome.digest!(store).digest
    end

    test "takes no mutation", %{store: store} do
      set = table(store, :set, [1])
      then = Rhizome.on(set, Rhizome.snapshot!(store))

      for fun <- [
            fn -> Rhizome.insert(then, 1) end,
            fn -> Rhizome.clear(then) end,
            fn -> Rhizome.drop_table(then) end,
            fn -> Rhizome.create_table(then.store, :t, :set) end,
            fn -> Rhizome.insert(then, 1, idempotency_key: 1) end,
            fn -> Rhizome.insert(then, 1, expect: 1) end,
            fn -> Rhizome.run(then.store, Batch.insert(Batch.new(), set, 2)) end,
            fn -> Enum.into([1, 2], then) end
          ] do
        assert_raise ArgumentError, fun
      end

      assert Rhizome.to_list(set) == [1]
    end

    test "belongs to a store, and is not one", %{store: store} do
      snapshot = Rhizome.snapshot!(store)
      set = table(start_store(), :set, [1])

      for fun <- [
            fn -> Rhizome.info(snapshot) end,
            fn -> Rhizome.ping(snapshot) end,
            fn -> Rhizome.sync(snapshot) end,
            fn -> Rhizome.snapshot(snapshot) end,
            fn -> Rhizome.transaction(snapshot, fn _tx -> :ok end) end,
            fn -> Rhizome.count(set, at: snapshot) end,
            fn -> Rhizome.member?(set, 1, at: snapshot) end,
            fn -> Rhizome.count(set, at: store) end,
            fn -> Rhizome.ping(store, at: snapshot) end,
            fn -> Rhizome.insert(set, 1, at: snapshot) end,
            fn -> Rhizome.on(set, "store") end,
            fn -> Rhizome.on(:set, snapshot) end,
            fn -> Rhizome.commit(snapshot) end,
            fn -> Rhizome.discard(snapshot) end,
            fn -> Rhizome.abort(snapshot, :no) end,
            fn -> Rhizome.release(store) end,
            fn -> Rhizome.digest(%{}) end
          ] do
        assert_raise ArgumentError, fun
      end
    end

    test "a stream of one sees one state", %{store: store} do
      set = table(store, :set, Enum.to_list(1..1_000))

      Rhizome.with_snapshot(store, fn snapshot ->
        seen =
          for n <- Rhizome.stream(Rhizome.on(set, snapshot), page_size: 10) do
            Rhizome.delete!(set, 1_001 - n)
            Rhizome.insert!(set, {n})
            n
          end

        assert seen == Enum.to_list(1..1_000)
      end)

      assert Rhizome.count(set, to: 1_000) == 0
    end

    test "is shown without data", %{store: store} do
      assert inspect(Rhizome.snapshot!(store)) == "#Rhizome.Snapshot<#{inspect(store)} at seq 0>"
    end
  end

  describe "an end" do
    test "released, it is none any more, as often as one does that", %{store: store} do
      set = table(store, :set, [1])
      snapshot = Rhizome.snapshot!(store)
      assert count(store) == 1
      assert Rhizome.release(snapshot) == :ok
      assert Rhizome.release(snapshot) == :ok
      assert count(store) == 0
      assert {:error, %Error{code: :no_snapshot}} = Rhizome.digest(snapshot)
      assert_raise Error, ~r/no_snapshot/, fn -> Rhizome.to_list(set, at: snapshot) end
      assert_raise Error, ~r/no_snapshot/, fn -> Enum.count(Rhizome.on(set, snapshot)) end
    end

    test "with_snapshot/2 releases it whatever happens", %{store: store} do
      assert Rhizome.with_snapshot(store, & &1.seq) == 0
      assert_raise RuntimeError, fn -> Rhizome.with_snapshot(store, fn _ -> raise "no" end) end
      assert catch_throw(Rhizome.with_snapshot(store, fn _ -> throw(:no) end)) == :no
      assert count(store) == 0
    end

    test "a process that takes a thousand and dies leaves none", %{store: store} do
      set = table(store, :set, Enum.to_list(1..10_000))
      memory = Rhizome.info(store).memory_bytes
      parent = self()

      taker =
        spawn(fn ->
          for n <- 1..1_000 do
            Rhizome.snapshot!(store)
            Rhizome.insert!(set, {n})
          end

          send(parent, :taken)
          Process.sleep(:infinity)
        end)

      assert_receive :taken, 30_000
      info = Rhizome.info(store)
      assert info.snapshot_count == 1_000
      assert length(info.snapshots) == 100
      assert [%{kind: :snapshot, seq: 2, age_ms: age, bytes: _} | _] = info.snapshots
      assert is_integer(age) and age >= 0
      assert info.snapshot_bytes > 0

      Process.exit(taker, :kill)
      await(fn -> count(store) == 0 end)
      Rhizome.delete_all!(set, for(n <- 1..1_000, do: {n}))
      info = Rhizome.info(store)
      assert info.snapshot_bytes == 0
      assert abs(info.memory_bytes - memory) < 100_000
    end

    test "others use it, until the one who took it dies", %{store: store} do
      set = table(store, :set, [1, 2])
      taker = Task.async(fn -> Rhizome.snapshot!(store) |> tap(&send_and_wait/1) end)
      assert_receive {_pid, %Snapshot{} = snapshot}
      Rhizome.clear!(set)
      assert Rhizome.to_list(set, at: snapshot) == [1, 2]

      forked =
        Task.async(fn ->
          fork = Rhizome.fork!(snapshot)
          send_and_wait(fork)
          Rhizome.to_list(set, at: fork)
        end)

      assert_receive {forking, %Rhizome.Fork{}}
      send(taker.pid, :go_on)
      Task.await(taker)
      await(fn -> count(store) == 1 end)
      assert {:error, %Error{code: :no_snapshot}} = Rhizome.digest(snapshot)
      assert {:error, %Error{code: :no_snapshot}} = Rhizome.fork(snapshot)

      # A fork of it lives on.
      send(forking, :go_on)
      assert Task.await(forked) == [1, 2]
      await(fn -> count(store) == 0 end)
    end

    test "those of other processes stay", %{store: store} do
      mine = Rhizome.snapshot!(store)
      Task.await(Task.async(fn -> for _n <- 1..10, do: Rhizome.snapshot!(store) end))
      await(fn -> count(store) == 1 end)
      assert {:ok, _digest} = Rhizome.digest(mine)
    end

    test "no more than the store allows, and no older" do
      store = start_store(max_snapshots: 3, max_snapshot_age: 200)
      taken = for _n <- 1..3, do: Rhizome.snapshot!(store)
      assert {:error, %Error{code: :snapshot_limit}} = Rhizome.snapshot(store)
      assert {:error, %Error{code: :snapshot_limit}} = Rhizome.fork(store)

      assert {:error, %Error{code: :snapshot_limit}} =
               Rhizome.transaction(store, &Rhizome.tables(&1))

      Rhizome.release(hd(taken))
      last = Rhizome.snapshot!(store)
      await(fn -> match?({:error, %Error{code: :no_snapshot}}, Rhizome.digest(last)) end)
      await(fn -> count(store) == 0 end)
    end

    @tag :capture_log
    test "with the daemon: nothing of it is in the next one" do
      name = __MODULE__.Restarted
      start_store(name: name)
      Rhizome.create_table!(name, :s, :set)
      snapshot = Rhizome.snapshot!(name)
      fork = Rhizome.fork!(name)
      old = Process.whereis(name)
      signal(daemon(name), "KILL")
      await(fn -> Process.whereis(name) not in [nil, old] and Rhizome.ping(name) == :ok end)
      Rhizome.create_table!(name, :s, :set)

      for version <- [snapshot, fork] do
        assert {:error, %Error{code: :no_snapshot}} = Rhizome.table(version, :s)
        assert_raise Error, ~r/no_snapshot/, fn -> Rhizome.tables(version) end
        assert Rhizome.release(version) == :ok
      end

      assert {:error, %Error{code: :no_snapshot}} = Rhizome.commit(fork)

      assert {:error, %Error{code: :no_snapshot}} =
               Rhizome.insert(Rhizome.handle(fork, :s, :set), 1)

      # And the process takes others as if nothing had been.
      assert %{seq: 1} = Rhizome.snapshot!(name)
      assert count(name) == 1
    end

    @tag :capture_log
    test "what is under way when the daemon dies", %{store: store} do
      set = table(store, :set, [1])
      snapshot = Rhizome.snapshot!(store)
      fork = Rhizome.fork!(store)
      signal(daemon(store), "STOP")

      asked =
        for fun <- [
              fn -> Rhizome.digest(snapshot) end,
              fn -> Rhizome.insert(Rhizome.on(set, fork), 2) end,
              fn -> Rhizome.commit(fork) end,
              fn -> Rhizome.snapshot(store) end
            ],
            do: Task.async(fun)

      await(fn -> :sys.get_state(store).in_flight == 4 end)
      signal(daemon(store), "KILL")

      assert [:daemon_down, :daemon_down, :unknown_result, :daemon_down] ==
               for({:error, error} <- Task.await_many(asked), do: error.code)
    end

    test "a store that was stopped has none" do
      {:ok, store} = Rhizome.start_link()
      assert {:ok, snapshot} = Rhizome.snapshot(store)
      Rhizome.stop(store)
      assert {:error, %Error{code: :no_snapshot}} = Rhizome.digest(snapshot)
      assert Rhizome.release(snapshot) == :ok
      assert {:error, %Error{code: :stopped}} = Rhizome.snapshot(store)
      assert {:error, %Error{code: :stopped}} = Rhizome.fork(store)
    end
  end

  describe "the owner" do
    test "gives a process one number, and forgets it with the process", %{store: store} do
      for _n <- 1..3, do: Rhizome.snapshot!(store)
      assert [_mine] = holders(store)
      Task.await(Task.async(fn -> Rhizome.snapshot!(store) end))
      await(fn -> length(holders(store)) == 1 and count(store) == 3 end)
    end

    # As it is with one on a node that was away for a while.
    test "that has forgotten a living process gives it another", %{store: store} do
      Rhizome.snapshot!(store)

      :sys.replace_state(store, fn state ->
        %{state | holders: %{}, holder_pids: %{}}
      end)

      assert %Snapshot{name: {2, _number}} = Rhizome.snapshot!(store)
      assert {:ok, [], _} = {:ok, Rhizome.tables(Rhizome.snapshot!(store)), :same}
      assert [{_pid, {2, _monitor}}] = holders(store)
    end

    test "keeps nothing of one that did not come in time", %{store: store} do
      snapshot = Rhizome.snapshot!(store)
      daemon = daemon(store)
      signal(daemon, "STOP")

      for fun <- [
            fn -> Rhizome.snapshot(store, timeout: 20) end,
            fn -> Rhizome.fork(store, timeout: 20) end,
            fn -> Rhizome.fork(snapshot, timeout: 20) end
          ] do
        assert {:error, %Error{code: :timeout}} = fun.()
      end

      error = catch_error(Rhizome.with_snapshot(store, & &1, timeout: 20))
      assert error.code == :timeout
      signal(daemon, "CONT")
      await(fn -> Rhizome.ping(store) == :ok end)
      assert count(store) == 1
    end

    test "keeps releases and what comes behind them in their order", %{store: store} do
      for _n <- 1..50 do
        busy = for _n <- 1..4, do: Task.async(fn -> for _n <- 1..20, do: Rhizome.ping(store) end)
        Rhizome.release(Rhizome.snapshot!(store))
        assert count(store) == 0
        Task.await_many(busy)
      end
    end
  end

  describe "what is easily mistaken" do
    test "options in the place of the default", %{store: store} do
      table = table(store, :to_one, [{1, 1}])

      Rhizome.with_snapshot(store, fn at ->
        for {fun, arguments} <- [
              get: [1],
              get_all: [[1]],
              first: [],
              last: [],
              next: [1],
              prev: [1],
              at: [0]
            ],
            options <- [[at: at], [at: at, timeout: 9]] do
          error = catch_error(apply(Rhizome, fun, [table | arguments] ++ [options]))
          assert %ArgumentError{message: "options come after the default: " <> call} = error
          assert call =~ ~r/^#{fun}\(view, .*nil, at: \.\.\.\)$/
          apply(Rhizome, fun, [table | arguments] ++ [nil, options])
        end
      end)

      assert Rhizome.get(table, 2, []) == []
      assert Rhizome.get(table, 2, nope: 1) == [nope: 1]
      assert Rhizome.get(table, 2, [{:at, 1} | :improper]) == [{:at, 1} | :improper]
      assert Rhizome.get(table, 2, where: 1) == [where: 1]
      assert_raise ArgumentError, fn -> Rhizome.first(table, where: {:==, :key, 1}) end
      handle = Rhizome.Handle.new(table)
      assert_raise ArgumentError, fn -> Rhizome.Handle.get(handle, 1, timeout: 1) end
    end

    test "a handle of another store", %{store: store} do
      other = start_store()
      set = table(other, :set)
      snapshot = Rhizome.snapshot!(store)
      message = ~r/the handle is of store/

      for handle <- [set, Rhizome.fwd(set)], target <- [store, snapshot, Rhizome.fork!(store)] do
        assert_raise ArgumentError, message, fn -> Rhizome.on(handle, target) end
      end

      bound = Rhizome.on(set, Rhizome.snapshot!(other))
      assert Rhizome.on(bound, other) == set
      assert_raise ArgumentError, message, fn -> Rhizome.on(bound, snapshot) end
    end

    test "versions where stores are meant, and options where there are none", %{store: store} do
      set = table(store, :to_one)
      snapshot = Rhizome.snapshot!(store)
      fork = Rhizome.fork!(store)

      for {fun, message} <- [
            {fn -> Rhizome.stop(snapshot) end, ~r/^stop takes a store/},
            {fn -> Rhizome.with_snapshot(fork, & &1) end, ~r/^with_snapshot takes a store/},
            {fn -> Rhizome.transaction(snapshot, & &1) end, ~r/^transaction takes a store/},
            {fn -> Rhizome.put(set, 1, 1, at: fork) end,
             ~r/^mutations take no :at; bind the table/},
            {fn -> Rhizome.create_table(store, 1, :set, at: fork) end, ~r/^mutations take no :at/}
          ] do
        assert_raise ArgumentError, message, fun
      end

      handle = Rhizome.Handle.new(set)

      for {options, message} <- [
            {[expect: 3], ~r/its own seq and takes no :expect/},
            {[await: false], ~r/takes no :await/},
            {[at: fork], ~r/takes no :at/}
          ] do
        assert_raise ArgumentError, message, fn -> Rhizome.Handle.put(handle, 1, 1, options) end
      end
    end
  end

  defp count(store), do: Rhizome.info(store).snapshot_count
  defp holders(store), do: Map.to_list(:sys.get_state(store).holders)

  # Called within a task of the test.
  defp send_and_wait(term) do
    send(hd(Process.get(:"$callers")), {self(), term})

    receive do
      :go_on -> :ok
    end
  end
end
