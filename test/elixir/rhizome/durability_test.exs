defmodule Rhizome.DurabilityTest do
  # Stores on the disk: what comes back after what, and what callers are told.
  use Rhizome.Case, async: true

  import ExUnit.CaptureLog

  alias Rhizome.{Batch, Directories, Error, Log, OsProcess}
  alias Rhizome.Log.Record

  @moduletag :tmp_dir
  @moduletag timeout: 60_000

  # Daemons that were to be killed log that.
  @moduletag :capture_log

  setup %{tmp_dir: tmp_dir} do
    Process.flag(:trap_exit, true)
    %{dir: Path.join(tmp_dir, "store")}
  end

  describe "a store with a directory" do
    test "comes back as it was after a stop", %{dir: dir} do
      store = open(dir)
      owns = Rhizome.create_table!(store, :owns, :one_to_many)
      Rhizome.insert_all!(owns, [{:ann, :sword}, {:ann, :bow}, {:bob, :axe}])
      items = Rhizome.create_table!(store, :items, :pom)
      Rhizome.insert_rows!(items, ["sword", "bow", "axe"])
      Rhizome.delete_row!(items, 3)
      digest = Rhizome.digest!(store)
      stop(store)

      store = open(dir)
      info = Rhizome.info(store)
      assert %{recovered: %{clean: true, fresh: false, torn: nil, records: 5}} = info
      assert Rhizome.digest!(store) == digest
      assert Rhizome.to_list(Rhizome.bwd(on(owns, store))) == [axe: :bob, bow: :ann, sword: :ann]
      assert Rhizome.insert_row!(on(items, store), "new") == 4
      stop(store)
    end

    test "comes back under its supervisor, and handles stay valid", %{dir: dir} do
      name = __MODULE__.Restarted
      start_store(name: name, dir: dir)
      set = Rhizome.create_table!(name, :s, :set)
      Rhizome.insert_all!(set, Enum.to_list(1..1_000))
      digest = Rhizome.digest!(name)
      old = Process.whereis(name)

      log =
        capture_log(fn ->
          signal(daemon(name), "KILL")
          await_restart(name, old)
        end)

      assert log =~
               ~r/#{inspect(name)} is back after \d+ ms: at mutation 2, with 2 records read from the beginning of the log/

      assert Rhizome.count(set) == 1_000
      assert Rhizome.digest!(name) == digest
      assert %{fresh: false, clean: false} = Rhizome.info(name).recovered
    end

    test "info says where it is and how far", %{dir: dir} do
      store = open(dir, sync: :none)
      assert %{recovered: %{fresh: true}, sync: :none, seq: 0} = Rhizome.info(store)
      set = Rhizome.create_table!(store, :s, :set)
      Rhizome.insert!(set, 1)
      assert Rhizome.sync(store) == {:ok, 2}
      info = Rhizome.info(store)
      assert %{seq: 2, durable_seq: 2, log: %{dir: ^dir, log_bytes: bytes, full: false}} = info
      assert bytes > 0
      assert info.store_id =~ ~r/^[0-9a-f]{32}$/
      stop(store)
      assert Log.info(dir).store_id == info.store_id
    end

    test "in memory only there is no log", %{} do
      store = open(nil)
      assert %{log: nil, recovered: nil, store_id: nil, sync: :memory} = Rhizome.info(store)

      for fun <- [&Rhizome.sync/1, &Rhizome.checkpoint/1] do
        assert {:error, %Error{code: :no_log}} = fun.(store)
      end

      assert_raise Error, ~r/no_log/, fn -> Rhizome.sync!(store) end
      assert_raise Error, ~r/no_log/, fn -> Rhizome.checkpoint!(store) end
      assert %{seq: 0, digest: <<_::binary-32>>} = Rhizome.digest!(store)
      stop(store)
    end

    test "is the only one there, and says who is", %{dir: dir} do
      store = open(dir)
      %{os_pid: os_pid} = Rhizome.info(store)
      {time, result} = timed(fn -> start(dir, shutdown_timeout: 0) end)
      assert {:error, %Error{code: :start_failed} = error} = result
      assert %{reason: :locked, os_pid: ^os_pid, dir: ^dir} = error.details
      assert error.message =~ "process #{os_pid}"
      assert time in 900..5_000
      assert Rhizome.ping(store) == :ok
      stop(store)
    end

    test "waits for its predecessor to end", %{dir: dir} do
      store = open(dir)
      starting = Task.async(fn -> start(dir) end)
      stop(store)
      assert {:ok, _store} = Task.await(starting)
    end

    test "that cannot be made says why", %{tmp_dir: tmp_dir} do
      file = Path.join(tmp_dir, "file")
      File.write!(file, "")
      assert {:error, %Error{code: :start_failed} = error} = start(Path.join(file, "store"))
      assert %{reason: :io, errno: :enotdir} = error.details
    end
  end

  describe "callers when the daemon dies" do
    test "learn what they have to reckon with", %{dir: dir} do
      for dir <- [dir, nil] do
        store = open(dir)
        set = Rhizome.create_table!(store, :s, :set)
        daemon = daemon(store)
        signal(daemon, "STOP")
        # Fills the window: what follows has to wait in the owner.
        large = String.duplicate("x", 32_000)

        sent = [
          Task.async(fn -> Rhizome.insert(set, {1, large}) end),
          Task.async(fn -> Rhizome.run(store, Batch.insert(Batch.new(), set, {2, large})) end)
        ]

        await(fn -> in_flight(store) == 2 end)

        not_sent = [
          Task.async(fn -> Rhizome.insert(set, 3) end),
          Task.async(fn -> Rhizome.ping(store) end)
        ]

        await(fn -> in_flight(store) == 4 end)
        signal(daemon, "KILL")

        for {:error, error} <- Task.await_many(sent) do
          assert %Error{code: :unknown_result, details: %{outcome: :unknown}} = error
          assert error.message =~ "may have been carried out or not"
        end

        for {:error, error} <- Task.await_many(not_sent) do
          assert %Error{code: :daemon_down, details: %{outcome: :not_sent}} = error
        end

        assert_receive {:EXIT, ^store, {:daemon_exit, {:signal, 9}}}
      end
    end

    test "a read is no mutation, and a timeout stays one", %{dir: dir} do
      store = open(dir)
      set = Rhizome.create_table!(store, :s, :set)
      signal(daemon(store), "STOP")
      read = Task.async(fn -> Rhizome.fetch(%{set | type: :to_one}, 1) end)
      assert {:error, %Error{code: :timeout}} = Rhizome.insert(set, 1, timeout: 20)
      mutation = Task.async(fn -> Rhizome.clear(set, idempotency_key: 1) end)
      await(fn -> in_flight(store) == 3 end)
      signal(daemon(store), "KILL")

      assert {:error, %Error{code: :daemon_down, details: %{outcome: :unknown}}} =
               Task.await(read)

      assert {:error, %Error{code: :unknown_result}} = Task.await(mutation)
    end

    test "the same if it is the owner that is killed", %{dir: dir} do
      store = open(dir)
      set = Rhizome.create_table!(store, :s, :set)
      signal(daemon(store), "STOP")
      mutation = Task.async(fn -> Rhizome.insert(set, 1) end)
      await(fn -> in_flight(store) == 1 end)
      Process.exit(store, :kill)
      assert {:error, %Error{code: :unknown_result}} = Task.await(mutation)
    end
  end

  describe "an idempotency key" do
    test "makes every kind of mutation happen once", %{dir: dir} do
      store = open(dir)
      set = Rhizome.create_table!(store, :s, :set)
      names = Rhizome.create_table!(store, :names, :to_one)
      items = Rhizome.create_table!(store, :items, :pom)

      twice = fn key, fun ->
        first = fun.(idempotency_key: key)
        seq = Rhizome.info(store).seq
        assert fun.(idempotency_key: key) == first
        assert Rhizome.info(store).seq == seq
        first
      end

      assert {:ok, %{outcome: :inserted}} = twice.(1, &Rhizome.insert(set, 1, &1))

      assert {:ok, %{outcome: :inserted}} =
               twice.({:any, "term"}, &Rhizome.put(names, 1, "Ann", &1))

      assert {:ok, %{evicted: [{1, "Ann"}]}} = twice.(2, &Rhizome.put(names, 1, "Anne", &1))
      assert {:ok, 1} = twice.(3, &Rhizome.insert_row(items, "tea", &1))
      assert {:ok, [2, 3]} = twice.(4, &Rhizome.insert_rows(items, ["a", "b"], &1))
      assert {:ok, %{outcome: :updated}} = twice.(5, &Rhizome.update_row(items, 1, "new", &1))
      assert {:ok, %{outcome: 2}} = twice.(6, &Rhizome.insert_all(set, [2, 3], &1))
      assert {:ok, %{outcome: :inserted}} = twice.(7, &Rhizome.insert_new(set, 4, &1))
      assert {:ok, %{outcome: :inserted}} = twice.(8, &Rhizome.put_new(names, 2, "Bob", &1))
      assert {:ok, %{outcome: :deleted}} = twice.(9, &Rhizome.delete(set, 1, &1))
      assert {:ok, %{outcome: 2}} = twice.(10, &Rhizome.delete_all(set, [2, 3], &1))
      assert {:ok, %{outcome: 1}} = twice.(11, &Rhizome.delete_key(names, 2, &1))
      assert {:ok, %{outcome: 1}} = twice.(12, &Rhizome.delete_row(items, 2, &1))
      batch = Batch.new() |> Batch.insert(set, 9) |> Batch.insert_row(items, "last")
      assert {:ok, [%{outcome: :inserted}, 4]} = twice.(13, &Rhizome.run(store, batch, &1))
      assert {:ok, %{count: 2}} = twice.(14, &Rhizome.clear(set, &1))
      assert {:ok, other} = twice.(15, &Rhizome.create_table(store, :other, :set, &1))
      assert :ok = twice.(16, &Rhizome.drop_table(other, &1))

      assert Rhizome.to_list(items) == [{1, "new"}, {3, "b"}, {4, "last"}]
      assert for(table <- Rhizome.tables(store), do: table.name) == [:items, :names, :s]
      stop(store)

      # And beyond a restart.
      store = open(dir)
      assert Rhizome.insert_row(on(items, store), "tea", idempotency_key: 3) == {:ok, 1}
      assert Rhizome.count(on(items, store)) == 3
      stop(store)
    end

    test "what failed is not remembered; wrong places for it raise", %{dir: dir} do
      store = open(dir)
      items = Rhizome.create_table!(store, :items, :pom)
      update = fn -> Rhizome.update_row(items, 1, "new", idempotency_key: :k) end
      assert {:error, %Error{code: :not_found}} = update.()
      Rhizome.insert_row!(items, "old")
      assert {:ok, %{outcome: :updated}} = update.()

      assert_raise ArgumentError, ~r/unknown option/, fn ->
        Rhizome.get(items, 1, nil, idempotency_key: 1)
      end

      stop(store)
    end

    test "that comes again with another command is refused", %{dir: dir} do
      store = open(dir)
      items = Rhizome.create_table!(store, :items, :pom)
      set = Rhizome.create_table!(store, :s, :set)
      assert {:ok, 1} = Rhizome.insert_row(items, "tea", idempotency_key: :k)

      others = [
        &Rhizome.insert_rows(items, ["tea"], &1),
        &Rhizome.insert(set, 1, &1),
        &Rhizome.clear(items, &1),
        &Rhizome.run(store, Batch.insert_row(Batch.new(), items, "tea"), &1),
        &Rhizome.create_table(store, :other, :set, &1),
        &Rhizome.drop_table(set, &1)
      ]

      for other <- others do
        assert {:error, %Error{code: :bad_argument}} = other.(idempotency_key: :k)
      end

      assert_raise Error, ~r/bad_argument/, fn -> Rhizome.insert!(set, 1, idempotency_key: :k) end
      # The same command is taken for the same mutation.
      assert {:ok, 1} = Rhizome.insert_row(items, "coffee", idempotency_key: :k)
      assert {Rhizome.to_list(items), Rhizome.to_list(set)} == {[{1, "tea"}], []}
      stop(store)
    end

    # Each order is a row: one that is carried out twice would be two.
    test "a retry across kill -9 is carried out once", %{dir: dir} do
      name = __MODULE__.Retried
      start_store(name: name, dir: dir, timeout: 30_000)
      orders = Rhizome.create_table!(name, :orders, :pom)

      # Each client kills the daemon once, between two orders of its own and in
      # the midst of those of the others.
      clients =
        for client <- 1..8 do
          Task.async(fn ->
            for n <- 1..60 do
              if n == 7 * client, do: kill(name)
              order(orders, {client, n}, [])
            end
          end)
        end

      done = clients |> Task.await_many(60_000) |> Enum.concat()
      await(fn -> Rhizome.ping(name) == :ok end)
      assert Rhizome.to_list(orders) == Enum.sort(for {row, _codes} <- done, do: row)
      assert length(done) == 8 * 60
      codes = Enum.flat_map(done, fn {_row, codes} -> codes end)
      assert codes != []
    end

    defp order(orders, key, codes) do
      case Rhizome.insert_row(orders, key, idempotency_key: key) do
        {:ok, id} ->
          {{id, key}, codes}

        {:error, %Error{code: code}} when code in [:unknown_result, :daemon_down, :stopped] ->
          order(orders, key, [code | codes])
      end
    end
  end

  describe "a damaged log" do
    setup %{dir: dir} do
      store = open(dir, sync: :always)
      set = Rhizome.create_table!(store, :s, :set)
      for n <- 1..200, do: Rhizome.insert!(set, n)
      signal(daemon(store), "KILL")
      assert_receive {:EXIT, ^store, _killed}
      # A new VM knows nothing of what was acknowledged.
      Directories.forget_all(dir)
      [segment] = Path.wildcard(Path.join(dir, "log-*.tlg"))
      %{segment: segment, set: set}
    end

    test "is refused, does not loop, and the siblings live on", context do
      %{dir: dir, segment: segment, set: set} = context
      %Record{offset: offset} = nth_mutation(dir, 100)
      flip(segment, offset + 30)
      before = contents(dir)
      name = __MODULE__.Refused
      sibling = __MODULE__.Sibling

      log =
        capture_log(fn ->
          {:ok, supervisor} =
            Supervisor.start_link([{Rhizome, name: sibling}, {Rhizome, name: name, dir: dir}],
              strategy: :one_for_one,
              max_restarts: 0
            )

          set = on(set, name)
          assert {:error, %Error{code: :log_refused} = error} = Rhizome.insert(set, 1)

          assert %{offset: ^offset, missing_from: 100, dir: ^dir, outcome: :not_sent} =
                   error.details

          assert error.details.file == Path.basename(segment)
          assert error.details.missing_to >= 100
          assert_raise Error, ~r/log_refused/, fn -> Rhizome.count(set) end
          assert_raise Error, ~r/log_refused/, fn -> Rhizome.info(name) end
          assert Rhizome.ping(sibling) == :ok
          assert %{active: 2} = Supervisor.count_children(supervisor)
          Supervisor.stop(supervisor)
        end)

      assert log =~ "is not available"
      assert contents(dir) == before

      # The second reader sees the same damage at the same place.
      error = assert_raise Error, fn -> Enum.count(Log.stream!(dir)) end
      assert %{offset: ^offset, missing_from: 100} = error.details
    end

    # As the guide says: by another directory, or by giving up what is missing.
    test "is mended from a shell, and then starts", context do
      %{dir: dir, segment: segment, set: set} = context
      %Record{offset: offset} = nth_mutation(dir, 100)
      flip(segment, offset + 30)
      name = __MODULE__.Mended
      options = [strategy: :one_for_one, max_restarts: 0]
      {:ok, supervisor} = Supervisor.start_link([{Rhizome, name: name, dir: dir}], options)
      set = on(set, name)
      assert {:error, %Error{code: :log_refused}} = Rhizome.insert(set, 1)

      assert {report, 1} = cli(["check", dir])
      assert report =~ "#{offset}"
      assert {_text, 0} = cli(["replay", "--until", "99", "--into", dir <> ".new", dir])
      store = open(dir <> ".new")
      assert Rhizome.count(on(set, store)) == 98
      stop(store)

      assert {_text, 0} = cli(["repair", "--yes", "--cut-at", "#{offset}", segment])
      assert :ok = Log.forget(dir)
      :ok = Supervisor.terminate_child(supervisor, name)
      {:ok, _store} = Supervisor.restart_child(supervisor, name)
      assert Rhizome.to_list(set) == Enum.to_list(1..98)
      Supervisor.stop(supervisor)
    end

    test "a torn tail is cut, saved, and reported", %{dir: dir, segment: segment, set: set} do
      size = end_of(dir)
      garbage = :crypto.strong_rand_bytes(100) <> <<1>>
      write_at(segment, size, garbage)
      assert length(Enum.to_list(Log.stream!(dir))) >= 201

      {log, store} = capture(fn -> open(dir) end)
      %{torn: torn} = Rhizome.info(store).recovered
      assert %{bytes: 101, offset: ^size, seq: 201} = torn
      assert torn.file == Path.basename(segment)
      assert File.read!(Path.join(dir, torn.saved)) =~ garbage
      assert log =~ "101 bytes behind mutation 201"
      assert Rhizome.count(on(set, store)) == 200
      stop(store)

      store = open(dir)
      assert Rhizome.info(store).recovered.torn == nil
      stop(store)
    end
  end

  describe "what was acknowledged" do
    test "is missed if the log ends before it", %{dir: dir} do
      name = __MODULE__.Expecting
      sup = start_supervised!({Supervisor, [strategy: :one_for_one]} |> supervisor_of(name, dir))
      assert is_pid(sup)
      set = Rhizome.create_table!(name, :s, :set)
      for n <- 1..50, do: Rhizome.insert!(set, n)
      assert {_store_id, 51} = Directories.expected(dir)
      %Record{offset: offset} = nth_mutation(dir, 41)
      [segment] = Path.wildcard(Path.join(dir, "log-*.tlg"))

      # Nothing in the log proves that there was more: only we know.
      old = Process.whereis(name)
      signal(daemon(name), "STOP")
      truncate(segment, offset)
      signal(daemon(name), "KILL")
      await_restart(name, old)
      assert {:error, %Error{code: :log_refused} = error} = Rhizome.insert(set, 0)
      assert %{missing_from: 41, missing_to: 51, offset: ^offset} = error.details

      # A restart does not change that, but somebody who knows may.
      refused = Process.whereis(name)
      Process.exit(refused, :shutdown)
      await_restart(name, refused)
      assert {:error, %Error{code: :log_refused}} = Rhizome.ping(name)
      Log.forget(dir)
      refused = Process.whereis(name)
      Process.exit(refused, :shutdown)
      await_restart(name, refused)
      assert Rhizome.to_list(set) == Enum.to_list(1..39)
    end

    test "is missed if another store lies in its place", %{dir: dir} do
      store = open(dir)
      stop(store)
      File.rename!(dir, dir <> ".other")

      store = open(dir)
      Rhizome.create_table!(store, :s, :set)
      kill_unsupervised(store)
      File.rename!(dir, dir <> ".old")
      File.rename!(dir <> ".other", dir)

      store = open(dir)
      assert {:error, %Error{code: :log_refused}} = Rhizome.ping(store)
      stop(store)
      Log.forget(dir)
      store = open(dir)
      assert Rhizome.info(store).seq == 0
      stop(store)
    end

    test "is forgotten at an orderly stop", %{dir: dir} do
      store = open(dir)
      set = Rhizome.create_table!(store, :s, :set)
      Rhizome.insert!(set, 1)
      assert {_store_id, 2} = Directories.expected(dir)
      stop(store)
      assert Directories.expected(dir) == nil

      # A copy from a backup, say, which is another store.
      File.rename!(dir, dir <> ".old")
      store = open(dir)
      assert Rhizome.info(store).seq == 0
      stop(store)
    end
  end

  describe "a checkpoint" do
    test "is made while writes go on, and shortens the log", %{dir: dir} do
      store = open(dir, segment_bytes: 64 * 1024, checkpoint: [ratio: :never])
      owns = Rhizome.create_table!(store, :owns, :one_to_many)
      Rhizome.insert_all!(owns, for(n <- 1..20_000, do: {rem(n, 100), n}))
      test = self()

      writers =
        for w <- 1..4 do
          Task.async(fn ->
            for n <- 1..500 do
              Rhizome.put!(owns, {w, n}, {w, n})
              if n == 50, do: send(test, {:going, w})
            end
          end)
        end

      for w <- 1..4, do: assert_receive({:going, ^w}, 20_000)
      assert {:ok, checkpoint} = Rhizome.checkpoint(store)
      Task.await_many(writers, 30_000)
      assert checkpoint.seq in 202..2_002
      assert checkpoint.elements >= 20_000
      last = Rhizome.checkpoint!(store)
      assert %{seq: 2_002, elements: 22_000} = last
      assert %{seq: 2_002, digest: digest} = Rhizome.digest!(store)
      assert last.digest == digest
      info = Rhizome.info(store)
      assert info.log.checkpoint_seq == 2_002
      assert info.log.checkpoint_bytes == last.bytes
      kill_unsupervised(store)

      store = open(dir)
      assert %{checkpoint: 2_002, records: 0} = Rhizome.info(store).recovered
      assert Rhizome.digest!(store).digest == digest
      stop(store)
    end

    test "is made by itself, and at a stop if asked", %{dir: dir} do
      store = open(dir, segment_bytes: 64 * 1024, checkpoint: [min_bytes: 200_000, ratio: 0.1])
      items = Rhizome.create_table!(store, :items, :pom)
      for _n <- 1..30, do: Rhizome.insert_row!(items, String.duplicate("x", 10_000))
      await(fn -> Rhizome.info(store).log.checkpoint_seq > 0 end)
      stop(store)

      store = open(dir, checkpoint: [at_stop: true])
      Rhizome.insert_row!(on(items, store), "last")
      stop(store)
      assert %{checkpoint_seq: 32} = Log.info(dir)
    end
  end

  test "a dump of a store at work is a backup", %{dir: dir, tmp_dir: tmp_dir} do
    store = open(dir)
    owns = Rhizome.create_table!(store, :owns, :one_to_many)
    Rhizome.insert_all!(owns, for(n <- 1..1_000, do: {rem(n, 10), n}))
    digest = Rhizome.digest!(store)
    backup = Path.join(tmp_dir, "backup.tlg")
    assert {_text, 0} = cli(["dump", "--format", "etf", "--output", backup, dir])
    stop(store)

    assert {text, 0} = cli(["replay", "--verify", backup])
    assert text =~ digest.digest

    elements =
      for %Record{op: {:load, :owns, :bwd, pairs}} <- Log.stream!(backup), do: length(pairs)

    assert Enum.sum(elements) == 1_000
    assert {_text, 0} = cli(["replay", "--into", dir <> ".new", backup])
    store = open(dir <> ".new")
    assert Rhizome.digest!(store).digest == digest.digest
    stop(store)
  end

  describe "Rhizome.Log" do
    test "reads every kind of record that the daemon writes", %{dir: dir} do
      store = open(dir, segment_bytes: 64 * 1024, checkpoint: [ratio: :never])
      people = Rhizome.create_table!(store, :people, :to_one)
      owns = Rhizome.create_table!(store, :owns, :one_to_many, fwd: {people, :evict})
      Rhizome.put!(people, :ann, "Ann")
      Rhizome.insert_all!(owns, [{:ann, :sword}, {:ann, :bow}])
      Rhizome.checkpoint!(store)
      Rhizome.put!(people, :bob, "Bob", idempotency_key: :first)
      batch = Batch.new() |> Batch.put(people, :cid, "Cid") |> Batch.put(owns, :cid, :axe)
      Rhizome.run!(store, batch)
      digest = Rhizome.digest!(store)
      for n <- 1..20, do: Rhizome.put!(people, n, String.duplicate("x", 10_000))
      last = Rhizome.digest!(store)
      live = Enum.to_list(Log.stream!(dir, torn: :raise))
      stop(store)

      records = Enum.to_list(Log.stream!(dir, torn: :raise))
      assert List.starts_with?(records, live)
      types = records |> Enum.map(& &1.type) |> Enum.uniq() |> Enum.sort()

      assert Enum.sort(types -- [:mark]) ==
               Enum.sort([
                 :checkpoint,
                 :table,
                 :elements,
                 :table_end,
                 :checkpoint_end,
                 :mutation,
                 :digest,
                 :roll,
                 :close
               ])

      assert [
               {:create_table, :people, :to_one, %{}},
               {:create_table, :owns, :one_to_many, options}
             ] = for(%Record{type: :table, op: op} <- records, do: op)

      assert options == %{fwd: {:people, :evict}}
      assert {:load, :owns, :bwd, [bow: :ann, sword: :ann]} in Enum.map(records, & &1.op)

      assert [
               {:with, %{idempotency_key: :first}, {:insert, :people, :fwd, {:bob, "Bob"}}},
               {:batch,
                [{:insert, :people, :fwd, {:cid, "Cid"}}, {:insert, :owns, _, {:cid, :axe}}]}
               | _puts
             ] = for(%Record{type: :mutation, op: op} <- records, do: op)

      assert for(%Record{type: :mutation, seq: seq} <- records, do: seq) == Enum.to_list(5..26)

      assert for(
               %Record{type: :digest, op: {:digest, bytes}, seq: seq} <- records,
               do: {seq, hex(bytes)}
             ) ==
               [{digest.seq, digest.digest}, {last.seq, last.digest}]

      assert %Record{type: :close, op: {:close, bytes}, seq: 26} = List.last(records)
      assert hex(bytes) == last.digest

      # By file, too, and by the words of the headers.
      info = Log.info(dir)
      assert info.bytes > 200_000

      assert records ==
               Enum.flat_map(info.files, fn file ->
                 Enum.to_list(Log.stream!(Path.join(dir, file.file), torn: :raise))
               end)
    end

    # Reads all of it some thousand times.
    @tag timeout: 300_000
    test "and finds each flipped byte in them", %{dir: dir, tmp_dir: tmp_dir} do
      store = open(dir, checkpoint: [ratio: :never])
      set = Rhizome.create_table!(store, :s, :set)
      for n <- 1..2, do: Rhizome.insert!(set, n)
      Rhizome.checkpoint!(store)
      for n <- 3..5, do: Rhizome.insert!(set, n)
      Rhizome.digest!(store)
      stop(store)
      whole = Enum.to_list(Log.stream!(dir))

      for file <- ["MANIFEST" | Enum.map(Log.info(dir).files, & &1.file)] do
        path = Path.join(dir, file)
        bytes = File.read!(path)

        for at <- 0..(byte_size(bytes) - 1) do
          flip(path, at)
          {records, error} = read(dir)
          assert List.starts_with?(whole, records), "#{file}, byte #{at}"
          assert error || length(records) < length(whole), "#{file}, byte #{at}: nobody noticed"
          # The last records are no mutations, and nothing proves them.
          assert error || mutations(records) == mutations(whole), "#{file}, byte #{at}: lost"
          File.write!(path, bytes)
        end
      end

      assert tmp_dir
    end

    test "a replay of the records makes the same store", %{dir: dir} do
      store = open(dir, segment_bytes: 64 * 1024)
      tables = for type <- [:set, :to_many, :one_to_one, :many_to_many], do: table(store, type)
      :rand.seed(:exsss, {1, 2, 3})

      for _n <- 1..500, table <- tables do
        element =
          if table.type == :set,
            do: :rand.uniform(50),
            else: {:rand.uniform(20), :rand.uniform(20)}

        if :rand.uniform(3) == 1,
          do: Rhizome.delete!(table, element),
          else: Rhizome.insert!(table, element)
      end

      digest = Rhizome.digest!(store)
      stop(store)
      assert {text, 0} = cli(["replay", "--verify", dir])
      assert text =~ digest.digest

      copy = open(nil)

      for %Record{type: :mutation, op: op} <- Log.stream!(dir),
          do: {:ok, _} = Rhizome.Client.request(copy, op, nil)

      assert Rhizome.digest!(copy) == digest
      stop(copy)
    end
  end

  ## Helpers

  defp cli(arguments) do
    {:ok, executable} = Rhizome.Executable.find(nil)
    System.cmd(executable, arguments, stderr_to_stdout: true)
  end

  defp start(dir, options \\ []) do
    Rhizome.start_link([dir: dir, start_timeout: 20_000] ++ options)
  end

  defp open(dir, options \\ []) do
    {:ok, store} = start(dir, options)
    store
  end

  defp stop(store) do
    Rhizome.stop(store)
    assert_receive {:EXIT, ^store, :normal}
  end

  # Until there is another store by this name, and it answers for itself.
  defp await_restart(name, old) do
    await(fn ->
      Process.whereis(name) not in [nil, old] and
        not match?({:error, %Error{code: :stopped}}, Rhizome.ping(name))
    end)
  end

  # A table's handle, for the store that came after.
  defp on(table, store), do: %{table | store: store}

  defp kill(name) do
    OsProcess.kill(daemon(name))
  catch
    # Somebody else's kill is just being got over.
    :exit, _reason -> :ok
  end

  defp kill_unsupervised(store) do
    signal(daemon(store), "KILL")
    assert_receive {:EXIT, ^store, {:daemon_exit, {:signal, 9}}}
  end

  defp supervisor_of(_module, name, dir) do
    %{
      id: name,
      type: :supervisor,
      start:
        {Supervisor, :start_link,
         [[{Rhizome, name: name, dir: dir, sync: :none}], [strategy: :one_for_one]]}
    }
  end

  defp in_flight(store), do: :sys.get_state(store).in_flight

  defp capture(fun) do
    ref = make_ref()
    log = capture_log(fn -> send(self(), {ref, fun.()}) end)
    assert_received {^ref, result}
    {log, result}
  end

  defp nth_mutation(dir, seq) do
    Enum.find(Log.stream!(dir), &match?(%Record{type: :mutation, seq: ^seq}, &1))
  end

  defp end_of(dir) do
    %Record{offset: offset, bytes: bytes} = dir |> Log.stream!() |> Enum.at(-1)
    offset + bytes
  end

  defp write_at(path, at, bytes) do
    {:ok, file} = :file.open(path, [:read, :write, :raw, :binary])
    :ok = :file.pwrite(file, at, bytes)
    :ok = :file.close(file)
  end

  defp truncate(path, at) do
    {:ok, file} = :file.open(path, [:read, :write, :raw, :binary])
    {:ok, ^at} = :file.position(file, at)
    :ok = :file.truncate(file)
    :ok = :file.close(file)
  end

  defp flip(path, at) do
    {:ok, file} = :file.open(path, [:read, :raw, :binary])
    {:ok, <<byte>>} = :file.pread(file, at, 1)
    :ok = :file.close(file)
    write_at(path, at, <<Bitwise.bxor(byte, 16)>>)
  end

  defp contents(dir) do
    for path <- Path.wildcard(Path.join(dir, "**")),
        File.regular?(path),
        Path.basename(path) != "LOCK" do
      {path, :erlang.md5(File.read!(path))}
    end
  end

  defp read(dir) do
    ref = make_ref()
    test = self()

    error =
      try do
        Enum.each(Log.stream!(dir), &send(test, {ref, &1}))
        nil
      rescue
        error in Error -> error
      end

    {received(ref), error}
  end

  defp received(ref) do
    receive do
      {^ref, record} -> [record | received(ref)]
    after
      0 -> []
    end
  end

  defp mutations(records), do: for(%Record{type: :mutation} = record <- records, do: record)

  defp hex(bytes), do: Base.encode16(bytes, case: :lower)
end
