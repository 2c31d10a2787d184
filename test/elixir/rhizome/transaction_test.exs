defmodule Rhizome.TransactionTest do
  use Rhizome.Case, async: true

  alias Rhizome.{Batch, Error}

  doctest Rhizome.Transaction

  setup do
    store = start_store()
    %{store: store, one: table(store, :to_one, a: 1, b: 2)}
  end

  describe "transaction/3" do
    test "gives what the function gives, and is one seq", %{store: store, one: one} do
      seq = Rhizome.info(store).seq

      assert {:ok, 3} ==
               Rhizome.transaction(store, fn tx ->
                 one = Rhizome.on(one, tx)
                 sum = Rhizome.get(one, :a) + Rhizome.get(one, :b)
                 assert %{evicted: [a: 1]} = Rhizome.put!(one, :a, sum)
                 assert Rhizome.get(one, :a) == 3
                 assert Rhizome.get(Rhizome.on(one, store), :a) == 1
                 Rhizome.put!(one, :c, 0)
                 sum
               end)

      assert Rhizome.to_list(one) == [a: 3, b: 2, c: 0]
      assert Rhizome.info(store).seq == seq + 1
      assert_nothing_left(store)
    end

    test "takes every kind of request", %{store: store, one: one} do
      many = table(store, :many_to_many, for(n <- 1..1_000, do: {n, rem(n, 7)}))

      assert {:ok, :done} ==
               Rhizome.transaction(store, fn tx ->
                 many = Rhizome.on(many, tx)
                 assert Enum.count(many) == 1_000
                 assert length(Enum.to_list(many)) == 1_000
                 assert Rhizome.count(many, where: {:==, :value, 3}) == 143
                 assert length(Rhizome.keys(Rhizome.bwd(many))) == 7
                 assert tx in for(table <- Rhizome.tables(tx), do: table.store)
                 assert Rhizome.digest!(tx).seq == Rhizome.digest!(store).seq
                 new = Rhizome.create_table!(tx, :new, :pom)
                 assert Rhizome.insert_rows!(new, [:x, :y]) == [1, 2]
                 batch = Batch.new() |> Batch.insert_row(new, :z) |> Batch.put(one, :a, 9)
                 assert [3, %{outcome: :inserted}] = Rhizome.run!(tx, batch)
                 Enum.into([{0, 0}], many)
                 assert Rhizome.table!(tx, :new).type == :pom
                 assert Rhizome.get(one, :a, nil, at: tx) == 9
                 :done
               end)

      assert Rhizome.count(many) == 1_001
      assert Rhizome.values(Rhizome.table!(store, :new)) == [:x, :y, :z]
      assert_nothing_left(store)
    end

    test "a long read may be the first, the only and one behind a write",
         %{store: store} do
      set = table(store, :set, Enum.to_list(1..1_000))
      where = [where: {:>, :key, 900}]

      assert {:ok, 100} ==
               Rhizome.transaction(store, &length(Rhizome.to_list(Rhizome.on(set, &1), where)))

      assert {:ok, 101} ==
               Rhizome.transaction(store, fn tx ->
                 set = Rhizome.on(set, tx)
                 :ok = Rhizome.insert(set, 1_001, await: false)
                 Rhizome.count(set, where)
               end)

      assert {:ok, 102} ==
               Rhizome.transaction(store, fn tx ->
                 set = Rhizome.on(set, tx)
                 Rhizome.first(set)
                 :ok = Rhizome.insert(set, 1_002, await: false)
                 Rhizome.count(set, where)
               end)

      assert Rhizome.count(set) == 1_002
    end

    test "does what else is done in its function outside of it", %{store: store, one: one} do
      assert {:error, :no} ==
               Rhizome.transaction(store, fn tx ->
                 Rhizome.put!(Rhizome.on(one, tx), :a, 5)
                 Rhizome.put!(one, :b, 6)

                 assert {:ok, 1} ==
                          Rhizome.transaction(store, &Rhizome.get(Rhizome.on(one, &1), :a))

                 Rhizome.abort(tx, :no)
               end)

      assert Rhizome.to_list(one) == [a: 1, b: 6]
    end

    test "an error of a request is the function's own business", %{store: store, one: one} do
      assert {:ok, :no_table} ==
               Rhizome.transaction(store, fn tx ->
                 {:error, %Error{code: code}} = Rhizome.table(tx, :nowhere)
                 Rhizome.put!(Rhizome.on(one, tx), :a, 2)
                 code
               end)

      assert Rhizome.get(one, :a) == 2

      assert_raise Error, ~r/no_table/, fn ->
        Rhizome.transaction(store, fn tx -> Rhizome.table!(tx, :nowhere) end)
      end

      assert_nothing_left(store)
    end

    # What was not there is part of what was read.
    test "an error of the first request can be a conflict", %{store: store, one: one} do
      assert {:ok, {:there, 2}} ==
               Rhizome.transaction(store, fn tx ->
                 attempt = attempt()

                 case Rhizome.table(tx, :other) do
                   {:ok, _table} ->
                     {:there, attempt}

                   {:error, %Error{code: :no_table}} ->
                     Rhizome.create_table!(store, :other, :set)
                     Rhizome.put!(Rhizome.on(one, tx), :a, :there_is_no_other)
                     :not_there
                 end
               end)

      assert Rhizome.get(one, :a) == 1
    end
  end

  describe "a conflict" do
    test "has the function run again", %{store: store, one: one} do
      assert {:ok, 4} ==
               Rhizome.transaction(store, fn tx ->
                 n = attempt()
                 seen = Rhizome.get(one, :a, nil, at: tx)
                 if n < 4, do: Rhizome.put!(one, :a, seen + 1)
                 Rhizome.put!(Rhizome.on(one, tx), :b, {seen, n})
                 n
               end)

      assert Rhizome.to_list(one) == [a: 4, b: {4, 4}]
      assert_nothing_left(store)
    end

    test "is the answer when there were too many", %{store: store, one: one} do
      for max_retries <- [0, 3] do
        Process.delete(:attempt)

        transaction = fn tx ->
          attempt()
          Rhizome.put!(one, :a, Rhizome.get(one, :a, nil, at: tx) + 1)
          Rhizome.put!(Rhizome.on(one, tx), :b, 0)
        end

        assert {:error, %Error{code: :conflict} = error} =
                 Rhizome.transaction(store, transaction, max_retries: max_retries)

        assert {error.details.table, error.details.key} == {one.name, :a}
        assert attempt() == max_retries + 2
      end

      assert Rhizome.get(one, :b) == 2
      assert_nothing_left(store)
    end

    test "there is none for who only reads, or only writes", %{store: store, one: one} do
      for options <- [[], [read_only: true]] do
        assert {:ok, {a, a}} =
                 Rhizome.transaction(
                   store,
                   fn tx ->
                     then = Rhizome.on(one, tx)
                     a = Rhizome.get(then, :a)
                     Rhizome.put!(one, :a, {a})
                     {a, Rhizome.get(then, :a)}
                   end,
                   [max_retries: 0] ++ options
                 )
      end

      assert {:ok, :ok} ==
               Rhizome.transaction(
                 store,
                 fn tx ->
                   :ok = Rhizome.put(Rhizome.on(one, tx), :a, 5, await: false)
                   Rhizome.put!(one, :a, 6)
                   :ok
                 end,
                 max_retries: 0
               )

      assert Rhizome.get(one, :a) == 5
      assert_nothing_left(store)
    end

    test "counts of twenty processes are exact", %{store: store, one: one} do
      increment = fn _n ->
        for _n <- 1..10 do
          {:ok, _change} =
            Rhizome.transaction(
              store,
              fn tx ->
                one = Rhizome.on(one, tx)
                Rhizome.put!(one, :a, Rhizome.get(one, :a) + 1)
              end,
              max_retries: 1_000
            )
        end
      end

      1..20
      |> Task.async_stream(increment, max_concurrency: 20, timeout: 60_000)
      |> Stream.run()

      assert Rhizome.get(one, :a) == 201
      assert_nothing_left(store)
    end
  end

  describe "an end" do
    test "abort/2, from however deep", %{store: store, one: one} do
      for reason <- [:no, {:error, 1}, nil] do
        assert {:error, reason} ==
                 Rhizome.transaction(store, fn tx ->
                   Rhizome.put!(Rhizome.on(one, tx), :a, 5)
                   Enum.each([1], fn _n -> Rhizome.abort(tx, reason) end)
                 end)
      end

      # Whoever catches everything has caught this too, and goes on for nothing.
      assert {:error, :no} ==
               Rhizome.transaction(store, fn tx ->
                 try do
                   Rhizome.put!(Rhizome.on(one, tx), :a, 5)
                   Rhizome.abort(tx, :no)
                 catch
                   _kind, _reason -> :caught
                 end
               end)

      assert {:error, :outer} ==
               Rhizome.transaction(store, fn outer ->
                 Rhizome.transaction(store, fn inner ->
                   Rhizome.put!(Rhizome.on(one, inner), :a, 5)
                   Rhizome.abort(outer, :outer)
                 end)
               end)

      assert Rhizome.get(one, :a) == 1
      assert_nothing_left(store)
    end

    test "an exception, a throw and an exit go on to the caller", %{store: store, one: one} do
      for {kind, fun} <- [
            error: fn -> raise "no" end,
            throw: fn -> throw(:no) end,
            exit: fn -> exit(:no) end
          ] do
        result =
          try do
            Rhizome.transaction(store, fn tx ->
              Rhizome.put!(Rhizome.on(one, tx), :a, 5)
              :ok = Rhizome.put(Rhizome.on(one, tx), :b, 5, await: false)
              fun.()
            end)
          catch
            kind, _reason -> kind
          end

        assert result == kind
      end

      assert Rhizome.to_list(one) == [a: 1, b: 2]
      assert_nothing_left(store)
    end

    test "a process that is killed in one leaves nothing", %{store: store, one: one} do
      parent = self()

      {pid, monitor} =
        spawn_monitor(fn ->
          Rhizome.transaction(store, fn tx ->
            Rhizome.put!(Rhizome.on(one, tx), :a, 5)
            send(parent, :written)
            Process.sleep(:infinity)
          end)
        end)

      assert_receive :written
      assert Rhizome.info(store).snapshot_count == 1
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, _, _, _}
      await(fn -> Rhizome.info(store).snapshot_count == 0 end)
      assert Rhizome.get(one, :a) == 1
    end

    test "behind it there is none, and none for others", %{store: store, one: one} do
      {:ok, over} = Rhizome.transaction(store, fn tx -> Rhizome.on(one, tx) end)
      assert_raise ArgumentError, ~r/is over/, fn -> Rhizome.get(over, :a) end
      assert_raise ArgumentError, ~r/is over/, fn -> Rhizome.put(over, :a, 1) end
      assert_raise ArgumentError, ~r/is over/, fn -> Rhizome.abort(over.store, :no) end

      Rhizome.transaction(store, fn tx ->
        Rhizome.get(one, :a, nil, at: tx)
        error = Task.await(Task.async(fn -> catch_error(Rhizome.tables(tx)) end))
        assert %ArgumentError{message: message} = error
        assert message =~ "other processes cannot use it"
      end)

      assert_nothing_left(store)
      assert Process.get_keys() |> Enum.filter(&match?({Rhizome.Transaction, _}, &1)) == []
    end

    test "a fork that became too old" do
      store = start_store(max_snapshot_age: 100)
      set = table(store, :set)

      assert {:error, %Error{code: :no_snapshot}} =
               Rhizome.transaction(store, fn tx ->
                 set = Rhizome.on(set, tx)
                 Rhizome.insert!(set, 1)
                 await(fn -> Rhizome.info(store).snapshot_count == 0 end)
                 Rhizome.insert!(set, 2)
               end)

      assert Rhizome.to_list(set) == []
    end

    @tag :capture_log
    test "of the daemon, before, within and at the commit" do
      name = __MODULE__.Mortal
      start_store(name: name)
      set = Rhizome.create_table!(name, :s, :set)

      assert {:error, %Error{code: code}} =
               Rhizome.transaction(name, fn tx ->
                 Rhizome.insert!(Rhizome.on(set, tx), 1)
                 signal(daemon(name), "KILL")
                 Rhizome.insert!(Rhizome.on(set, tx), 2)
                 flunk("the fork is gone")
               end)

      assert code in [:daemon_down, :no_snapshot]
      await(fn -> Rhizome.ping(name) == :ok end)
      Rhizome.create_table!(name, :s, :set)

      # It goes on in the store as it is then, and does not fall between two.
      assert {:error, %Error{code: :no_snapshot}} =
               Rhizome.transaction(name, fn tx ->
                 Rhizome.insert!(Rhizome.on(set, tx), 1)
                 old = Process.whereis(name)
                 signal(daemon(name), "KILL")

                 await(fn ->
                   Process.whereis(name) not in [nil, old] and Rhizome.ping(name) == :ok
                 end)

                 Rhizome.create_table!(name, :s, :set)
               end)

      assert Rhizome.to_list(set) == []

      test = self()

      caller =
        Task.async(fn ->
          Rhizome.transaction(name, fn tx ->
            Rhizome.insert!(Rhizome.on(set, tx), 1)
            send(test, :written)

            receive do
              :go_on -> :ok
            end
          end)
        end)

      assert_receive :written
      signal(daemon(name), "STOP")
      send(caller.pid, :go_on)
      await(fn -> :sys.get_state(name).in_flight == 1 end)
      signal(daemon(name), "KILL")
      assert {:error, %Error{code: :unknown_result}} = Task.await(caller)
    end

    test "of the time", %{store: store, one: one} do
      daemon = daemon(store)

      assert {:error, %Error{code: :timeout}} =
               Rhizome.transaction(
                 store,
                 fn tx ->
                   signal(daemon, "STOP")
                   Rhizome.get(one, :a, nil, at: tx)
                 end,
                 timeout: 50
               )

      signal(daemon, "CONT")
      await(fn -> Rhizome.info(store).snapshot_count == 0 end)
    end

    test "a store that is not there" do
      assert {:error, %Error{code: :stopped}} =
               Rhizome.transaction(NoSuchStore, &Rhizome.tables(&1))

      assert {:error, %Error{code: :stopped}} =
               Rhizome.transaction(
                 NoSuchStore,
                 &Rhizome.count(Rhizome.handle(&1, :t, :set), where: {:==, :key, 1})
               )

      assert {:ok, 1} = Rhizome.transaction(NoSuchStore, fn _tx -> 1 end)
    end
  end

  describe "await: false" do
    test "the mutation is done in its turn", %{store: store, one: one} do
      assert {:ok, [{:a, 3}, {:b, 2}]} ==
               Rhizome.transaction(store, fn tx ->
                 one = Rhizome.on(one, tx)
                 :ok = Rhizome.put(one, :a, 3, await: false)
                 assert Rhizome.put!(one, :b, 3, await: false) == :ok
                 :ok = Rhizome.put(one, :b, 2, await: false)
                 list = Rhizome.to_list(one)
                 :ok = Rhizome.delete_key(one, :b, await: false)
                 :ok = Rhizome.put(one, :c, 7, await: false)
                 assert Rhizome.put!(one, :c, 8).evicted == [c: 7]

                 batch = Batch.new() |> Batch.put(one, :d, 1) |> Batch.put(one, :e, 1)
                 :ok = Rhizome.run(tx, batch, await: false)

                 :ok =
                   Rhizome.drop_table(Rhizome.create_table!(tx, :t, :set, await: false),
                     await: false
                   )

                 {:ok, u} = Rhizome.create_table(tx, :u, :set, await: false)
                 :ok = Rhizome.insert(u, 1, await: false)
                 list
               end)

      assert Rhizome.to_list(one) == [a: 3, c: 8, d: 1, e: 1]
      assert for(table <- Rhizome.tables(store), do: table.name) -- [one.name] == [:u]
      assert_nothing_left(store)
    end

    test "a function that asks for nothing makes one request", %{store: store, one: one} do
      batch = Batch.new() |> Batch.put(one, :d, 1) |> Batch.put(one, :e, 1)
      before = Rhizome.info(store)

      assert {:ok, :ok} ==
               Rhizome.transaction(store, fn tx ->
                 :ok = Rhizome.run(tx, batch, await: false)
                 :ok = Rhizome.delete_key(Rhizome.on(one, tx), :a, await: false)
               end)

      now = Rhizome.info(store)
      assert now.seq == before.seq + 1
      assert now.commands - before.commands == 2
      assert Rhizome.to_list(one) == [b: 2, d: 1, e: 1]
    end

    test "its error is that of the transaction", %{store: store, one: one} do
      pom = table(store, :pom, ["a"])

      asks = [
        fn _tx -> :nothing end,
        fn tx -> Rhizome.get(one, :a, nil, at: tx) end,
        fn tx -> Rhizome.to_list(one, at: tx) end,
        fn tx -> Rhizome.put(Rhizome.on(one, tx), :a, 7) end
      ]

      # As the first request, behind it and at the commit.
      for before <- asks, behind <- asks do
        assert {:error, %Error{code: :not_found}} =
                 Rhizome.transaction(store, fn tx ->
                   before.(tx)
                   :ok = Rhizome.put(Rhizome.on(one, tx), :b, 8, await: false)
                   :ok = Rhizome.update_row(Rhizome.on(pom, tx), 9, "b", await: false)
                   :ok = Rhizome.insert_row(Rhizome.on(pom, tx), "c", await: false)
                   behind.(tx)
                 end)
      end

      assert Rhizome.to_list(one) == [a: 1, b: 2]
      assert Rhizome.values(pom) == ["a"]
      assert_nothing_left(store)
    end

    test "is for transactions, and checks what it is given", %{store: store, one: one} do
      assert_raise ArgumentError, ~r/:await is for transactions/, fn ->
        Rhizome.put(one, :a, 1, await: false)
      end

      for options <- [[expect: 1], [idempotency_key: 1]] do
        assert_raise ArgumentError, ~r/are for mutations of the store itself/, fn ->
          Rhizome.transaction(
            store,
            &Rhizome.put(Rhizome.on(one, &1), :a, 1, [await: false] ++ options)
          )
        end

        assert_raise ArgumentError, ~r/are for mutations of the store itself/, fn ->
          Rhizome.transaction(store, &Rhizome.put(Rhizome.on(one, &1), :a, 1, options))
        end
      end

      assert_nothing_left(store)
    end
  end

  describe "round trips" do
    # Each frame that the daemon reads is one.
    test "two reads and two writes", %{store: store, one: one} do
      awaited = fn tx ->
        one = Rhizome.on(one, tx)
        {a, b} = {Rhizome.get(one, :a), Rhizome.get(one, :b)}
        Rhizome.put!(one, :a, b)
        Rhizome.put!(one, :b, a)
      end

      not_awaited = fn tx ->
        one = Rhizome.on(one, tx)
        {a, b} = {Rhizome.get(one, :a), Rhizome.get(one, :b)}
        :ok = Rhizome.put(one, :a, b, await: false)
        :ok = Rhizome.put(one, :b, a, await: false)
      end

      # A process is told its number when it holds something for the first time.
      assert {:ok, _} = Rhizome.transaction(store, awaited)
      assert frames(store, fn -> Rhizome.transaction(store, awaited) end) == 5
      assert frames(store, fn -> Rhizome.transaction(store, not_awaited) end) == 3
      assert frames(store, fn -> Rhizome.transaction(store, fn _tx -> 1 end) end) == 0
      assert Rhizome.to_list(one) == [a: 2, b: 1]
    end

    defp frames(store, fun) do
      before = Rhizome.info(store).frames_in
      {:ok, _result} = fun.()
      Rhizome.info(store).frames_in - before - 1
    end
  end

  describe "read_only: true" do
    test "sees one state and takes no mutation", %{store: store, one: one} do
      assert {:ok, [1, 1, 2]} ==
               Rhizome.transaction(
                 store,
                 fn tx ->
                   a = Rhizome.get(one, :a, nil, at: tx)
                   Rhizome.put!(one, :a, 9)
                   [a, Rhizome.get(one, :a, nil, at: tx), Rhizome.count(one, at: tx)]
                 end,
                 read_only: true
               )

      for options <- [[], [await: false]] do
        assert_raise ArgumentError, ~r/read_only: true/, fn ->
          Rhizome.transaction(store, &Rhizome.put(Rhizome.on(one, &1), :a, 1, options),
            read_only: true
          )
        end
      end

      assert {:error, :no} ==
               Rhizome.transaction(store, &Rhizome.abort(&1, :no), read_only: true)

      assert_nothing_left(store)
    end
  end

  describe "arguments" do
    test "are checked", %{store: store} do
      for fun <- [
            fn -> Rhizome.transaction(store, :fun) end,
            fn -> Rhizome.transaction("store", fn _tx -> :ok end) end,
            fn -> Rhizome.transaction(store, fn _tx -> :ok end, max_retries: -1) end,
            fn -> Rhizome.transaction(store, fn _tx -> :ok end, retries: 1) end,
            fn -> Rhizome.transaction(Rhizome.fork!(store), fn _tx -> :ok end) end,
            fn -> Rhizome.abort(store, :no) end
          ] do
        assert_raise ArgumentError, fun
      end

      assert_raise ArgumentError, ~r/transaction takes a store/, fn ->
        Rhizome.transaction(store, fn tx -> Rhizome.transaction(tx, fn _tx -> :ok end) end)
      end

      Rhizome.transaction(store, fn tx ->
        assert inspect(tx) == "#Rhizome.Transaction<#{inspect(store)}>"
        assert_raise ArgumentError, fn -> Rhizome.release(tx) end
        assert_raise ArgumentError, fn -> Rhizome.commit(tx) end
        assert_raise ArgumentError, fn -> Rhizome.snapshot(tx) end
        assert_raise ArgumentError, fn -> Rhizome.fork(tx) end
        assert_raise ArgumentError, fn -> Rhizome.info(tx) end
      end)
    end
  end

  # Which time it is that the function runs.
  defp attempt do
    Process.put(:attempt, Process.get(:attempt, 0) + 1)
    Process.get(:attempt)
  end

  # What was released goes without being waited for, in the order of requests.
  defp assert_nothing_left(store), do: assert(Rhizome.info(store).snapshot_count == 0)
end
