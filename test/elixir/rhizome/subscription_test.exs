defmodule Rhizome.SubscriptionTest do
  use Rhizome.Case, async: true

  alias Rhizome.{Batch, Commands, Error, Model, Subscription}

  doctest Rhizome.Subscription

  # More than the daemon keeps in memory.
  @large 20 * 1024 * 1024

  # The changes up to a seq, as a list of {seq, changes}.
  defp changes_until(%{ref: ref} = subscription, seq, changes \\ []) do
    case changes do
      [{last, _changes} | _before] when last >= seq ->
        Enum.reverse(changes)

      _more ->
        assert_receive {:rhizome, ^ref, {:changes, new}}
        new = for %{seq: seq, changes: changes} <- new, do: {seq, changes}
        changes_until(subscription, seq, Enum.reverse(new, changes))
    end
  end

  defp subscribe!(store, tables, options \\ []) do
    {:ok, subscription} = Rhizome.subscribe(store, tables, options)
    subscription
  end

  defp subscriptions(store), do: Rhizome.info(store).subscriptions

  # Somebody else, who subscribes and then does what it is told.
  defp subscriber(store, tables, options \\ []) do
    test = self()

    pid =
      spawn(fn ->
        send(test, {self(), subscribe!(store, tables, options)})
        follow()
      end)

    assert_receive {^pid, subscription}
    {pid, subscription}
  end

  defp follow do
    receive do
      {:do, from, fun} -> send(from, {self(), fun.()})
    end

    follow()
  end

  defp tell(pid, fun), do: send(pid, {:do, self(), fun})

  defp ask(pid, fun) do
    tell(pid, fun)
    assert_receive {^pid, answer}, 10_000
    answer
  end

  defp queue_length(pid), do: pid |> Process.info(:message_queue_len) |> elem(1)

  describe "what is told" do
    setup do
      %{store: start_store()}
    end

    test "every kind of change, in order, with its seq", %{store: store} do
      subscription = subscribe!(store, :all)
      people = Rhizome.create_table!(store, :people, :to_one)
      owns = Rhizome.create_table!(store, :owns, :one_to_many, fwd: {people, :evict})
      items = Rhizome.create_table!(store, :items, :pom)
      Rhizome.insert_all!(people, ann: 1, bob: 2)
      Rhizome.put!(owns, :ann, :sword)
      Rhizome.put!(Rhizome.bwd(owns), :sword, :bob)
      Rhizome.insert!(Rhizome.fwd(owns, :ann), :bow)
      Rhizome.put!(people, :ann, 3)
      Rhizome.delete_key!(people, :ann)
      Rhizome.insert_rows!(items, ["a", "b"])
      Rhizome.update_row!(items, 1, "A")
      Rhizome.clear!(items)
      :ok = Rhizome.drop_table(items)

      assert [
               {1, [{:people, :create, :to_one}]},
               {2, [{:owns, :create, :one_to_many}]},
               {3, [{:items, :create, :pom}]},
               {4, [{:people, :insert, {:ann, 1}}, {:people, :insert, {:bob, 2}}]},
               {5, [{:owns, :insert, {:ann, :sword}}]},
               {6, stolen},
               {7, [{:owns, :insert, {:ann, :bow}}]},
               {8, [{:people, :delete, {:ann, 1}}, {:people, :insert, {:ann, 3}}]},
               {9, gone},
               {10, [{:items, :insert, {1, "a"}}, {:items, :insert, {2, "b"}}]},
               {11, [{:items, :delete, {1, "a"}}, {:items, :insert, {1, "A"}}]},
               {12, [{:items, :clear, 2}]},
               {13, [{:items, :drop, :pom}]}
             ] = changes_until(subscription, 13)

      assert Enum.sort(stolen) == [
               {:owns, :delete, {:ann, :sword}},
               {:owns, :insert, {:bob, :sword}}
             ]

      assert Enum.sort(gone) == [{:owns, :delete, {:ann, :bow}}, {:people, :delete, {:ann, 3}}]
    end

    test "a batch, a commit and a transaction are one seq each", %{store: store} do
      set = table(store, :set)
      name = set.name
      %{seq: seq} = subscription = subscribe!(store, [set])
      batch = Batch.new() |> Batch.insert(set, 1) |> Batch.delete(set, 1) |> Batch.insert(set, 2)
      Rhizome.run!(store, batch)
      {:ok, fork} = Rhizome.fork(store)
      Rhizome.insert!(Rhizome.on(set, fork), 3)
      Rhizome.delete!(Rhizome.on(set, fork), 2)
      Rhizome.insert!(set, 4)
      {:ok, _seq} = Rhizome.commit(fork)
      {:ok, _} = Rhizome.transaction(store, &Rhizome.insert_all!(Rhizome.on(set, &1), [5, 6]))
      # Nothing was changed, or nothing of the head.
      Rhizome.insert!(set, 6)

      {:error, _reason} =
        Rhizome.transaction(store, &Rhizome.abort(&1, Rhizome.insert!(Rhizome.on(set, &1), 9)))

      Rhizome.insert!(set, 7)

      changes = changes_until(subscription, seq + 5)

      assert Enum.map(changes, fn {seq, _changes} -> seq end) ==
               Enum.to_list((seq + 1)..(seq + 5))

      assert [{_, batch}, {_, [{^name, :insert, 4}]}, {_, commit}, {_, transaction}, {_, _last}] =
               changes

      assert List.last(batch) == {name, :insert, 2}
      assert Enum.sort(commit) == [{name, :delete, 2}, {name, :insert, 3}]
      assert transaction == [{name, :insert, 5}, {name, :insert, 6}]
    end

    test "only of the tables that were named, which need not exist", %{store: store} do
      one = table(store, :set)
      two = table(store, :to_one)
      subscription = subscribe!(store, [one, :later])
      of_view = subscribe!(store, Rhizome.fwd(two))
      Rhizome.put!(two, 1, 1)
      later = Rhizome.create_table!(store, :later, :set)
      Rhizome.run!(store, Batch.new() |> Batch.put(two, 2, 2) |> Batch.insert(later, 3))
      %{seq: seq} = Rhizome.info(store)
      Rhizome.insert!(one, 4)

      assert changes_until(subscription, seq + 1) == [
               {seq - 1, [{:later, :create, :set}]},
               {seq, [{:later, :insert, 3}]},
               {seq + 1, [{one.name, :insert, 4}]}
             ]

      assert [{_, [{_, :insert, {1, 1}}]}, {^seq, [{_, :insert, {2, 2}}]}] =
               changes_until(of_view, seq)

      assert subscriptions(store) == 2
    end

    test "from a seq on that has been already", %{store: store} do
      # The history begins with the first subscription.
      now = subscribe!(store, :all)
      set = table(store, :set)
      for n <- 1..10, do: Rhizome.insert!(set, n)
      %{seq: seq} = Rhizome.info(store)
      all = changes_until(now, seq)

      for from <- 1..(seq + 1) do
        later = subscribe!(store, :all, from: from)
        assert later.seq == seq
        if from <= seq, do: assert(changes_until(later, seq) == Enum.drop(all, from - 1))
        Rhizome.unsubscribe(later)
      end

      assert {:error, %Error{code: :no_history}} = Rhizome.subscribe(store, :all, from: seq + 2)
      refute_received {:rhizome, _ref, _message}
    end

    test "values of any size, and terms of any kind", %{store: store} do
      rows = table(store, :to_one)
      subscription = subscribe!(store, [rows])
      values = [self(), make_ref(), &is_atom/1, String.duplicate("x", 3_000_000), %{a: [1.0]}]
      for {value, n} <- Enum.with_index(values), do: Rhizome.put!(rows, n, value)
      %{seq: seq} = Rhizome.info(store)

      told =
        for {_seq, [{_table, :insert, {_key, value}}]} <- changes_until(subscription, seq),
            do: value

      assert told == values
    end
  end

  # What the changes say, applied to maps, is what the store holds.
  test "a mirror that follows the feed holds what the store holds" do
    store = start_store()
    subscription = subscribe!(store, :all)
    for op <- Commands.setup(), do: {:ok, :created} = Commands.run(store, op)
    seed = ExUnit.configuration()[:seed]

    1..4
    |> Task.async_stream(
      fn writer ->
        :rand.seed(:exsss, seed * 10 + writer)

        # A rank is asked for in two requests, and others write in between.
        for op <- Commands.generate(150), elem(op, 0) != :rank do
          if rem(:erlang.phash2(op), 4) == 0,
            do: Rhizome.transaction(store, &Commands.run(&1, op), max_retries: 1_000),
            else: Commands.run(store, op)
        end
      end,
      timeout: 60_000
    )
    |> Stream.run()

    # One that is certain to change something is the last one.
    marker = table(store, :set, [:end])
    seq = Rhizome.info(store).seq
    changes = changes_until(subscription, seq)
    seqs = for {seq, _changes} <- changes, do: seq
    assert seqs == Enum.to_list(1..seq)

    mirror =
      Enum.reduce(changes, %{}, fn {_seq, changes}, mirror ->
        Enum.reduce(changes, mirror, &mirror/2)
      end)

    assert mirror[marker.name] == %{end: true}

    for {name, _type} <- Commands.tables() do
      assert mirror[name] |> Map.keys() |> Model.sort() ==
               store |> Commands.table(name) |> Rhizome.to_list() |> Model.sort()
    end
  end

  defp mirror({table, :create, _type}, mirror), do: Map.put_new(mirror, table, %{})
  defp mirror({table, :drop, _type}, mirror), do: Map.delete(mirror, table)

  defp mirror({table, :clear, count}, mirror) do
    assert map_size(mirror[table]) == count
    %{mirror | table => %{}}
  end

  defp mirror({table, :insert, element}, mirror) do
    Map.update!(mirror, table, fn elements ->
      refute Map.has_key?(elements, element)
      Map.put(elements, element, true)
    end)
  end

  defp mirror({table, :delete, element}, mirror) do
    Map.update!(mirror, table, fn elements ->
      assert Map.has_key?(elements, element)
      Map.delete(elements, element)
    end)
  end

  describe "slow subscribers" do
    @describetag :tmp_dir

    test "have a mailbox that stays short, and miss nothing" do
      store = start_store()
      set = table(store, :set)
      {pid, subscription} = subscriber(store, [set], max_queue: 5)

      lengths =
        for n <- 1..2_000 do
          Rhizome.insert!(set, n)
          queue_length(pid)
        end

      assert Enum.max(lengths) <= 5
      seq = Rhizome.info(store).seq

      elements =
        for {_seq, [{_table, :insert, n}]} <-
              ask(pid, fn -> changes_until(subscription, seq) end),
            do: n

      assert elements == Enum.to_list(1..2_000)
    end

    test "are not sent much, however large the changes are" do
      store = start_store()
      rows = table(store, :to_one)
      {pid, subscription} = subscriber(store, [rows])
      write_large(rows, 1, div(@large, 2))
      {:memory, memory} = Process.info(pid, :memory)
      {:binary, binaries} = Process.info(pid, :binary)
      held = for {_id, bytes, _count} <- binaries, reduce: memory, do: (sum -> sum + bytes)
      assert held < 6 * 1024 * 1024
      {:binary, binaries} = Process.info(subscription.relay, :binary)
      held = for {_id, bytes, _count} <- binaries, reduce: 0, do: (sum -> sum + bytes)
      assert held < 2 * 1024 * 1024
      seq = Rhizome.info(store).seq

      assert length(ask(pid, fn -> changes_until(subscription, seq) end)) ==
               div(@large, 2 * 100_000)
    end

    test "of a store in memory overflow when they are too far behind, and are told so" do
      store = start_store()
      rows = table(store, :to_one)
      {pid, %{ref: ref} = subscription} = subscriber(store, [rows], max_queue: 1)
      quick = subscribe!(store, [rows])
      write_large(rows, 1, @large)
      seq = Rhizome.info(store).seq
      assert length(changes_until(quick, seq)) == div(@large, 100_000)
      {told, missing} = ask(pid, fn -> read_until_overflow(ref, []) end)
      seqs = for %{seq: seq} <- told, do: seq
      assert seqs == Enum.to_list((subscription.seq + 1)..(missing - 1))
      await(fn -> not Process.alive?(subscription.relay) end)
      assert subscriptions(store) == 1

      # What was missed is gone, but for the latest.
      assert {:error, %Error{code: :no_history, details: %{oldest: oldest}}} =
               Rhizome.subscribe(store, [rows], from: missing)

      assert oldest > missing and oldest <= seq
      resumed = subscribe!(store, [rows], from: oldest)
      assert Enum.map(changes_until(resumed, seq), &elem(&1, 0)) == Enum.to_list(oldest..seq)
    end

    test "of a store on the disk go on from the log", %{tmp_dir: tmp_dir} do
      store = start_store(dir: Path.join(tmp_dir, "data"), sync: :none)
      rows = table(store, :to_one)
      {pid, subscription} = subscriber(store, [rows], max_queue: 1)
      write_large(rows, 1, @large)
      seq = Rhizome.info(store).seq
      changes = ask(pid, fn -> changes_until(subscription, seq) end)
      assert Enum.map(changes, &elem(&1, 0)) == Enum.to_list((subscription.seq + 1)..seq)
    end

    test "overflow when a checkpoint has taken the log away", %{tmp_dir: tmp_dir} do
      store = start_store(dir: Path.join(tmp_dir, "data"), sync: :none)
      rows = table(store, :to_one)
      {pid, %{ref: ref}} = subscriber(store, [rows], max_queue: 1)
      write_large(rows, 1, @large)
      checkpoint = Rhizome.checkpoint!(store)
      Rhizome.put!(rows, 0, "last")
      {_told, missing} = ask(pid, fn -> read_until_overflow(ref, []) end)
      assert missing <= checkpoint.seq

      assert {:error, %Error{code: :no_history, details: %{oldest: oldest}}} =
               Rhizome.subscribe(store, [rows], from: missing)

      assert oldest > missing
      resumed = subscribe!(store, [rows], from: oldest)
      seqs = for {seq, _changes} <- changes_until(resumed, checkpoint.seq + 1), do: seq
      assert seqs == Enum.to_list(oldest..(checkpoint.seq + 1))
    end

    test "who leaves and comes again sees it all", %{tmp_dir: tmp_dir} do
      store = start_store(dir: Path.join(tmp_dir, "data"), sync: :none)
      rows = table(store, :to_one)
      first = Rhizome.info(store).seq + 1
      writer = Task.async(fn -> write_large(rows, 1, @large) end)
      last = first + div(@large, 100_000) - 1

      # A few at a time, while they come and when they have come.
      seen =
        Stream.unfold(first, fn
          from when from > last ->
            nil

          from ->
            some =
              store
              |> Subscription.stream([rows], from: from)
              |> Enum.take(min(30, last - from + 1))

            {some, List.last(some).seq + 1}
        end)

      assert for(some <- seen, %{seq: seq} <- some, do: seq) == Enum.to_list(first..last)
      Task.await(writer)
      assert subscriptions(store) == 0
    end
  end

  defp write_large(rows, first, bytes) do
    value = :crypto.strong_rand_bytes(100_000)
    for n <- first..(first + div(bytes, 100_000) - 1), do: Rhizome.put!(rows, n, value)
  end

  defp read_until_overflow(ref, told) do
    receive do
      {:rhizome, ^ref, {:changes, changes}} -> read_until_overflow(ref, told ++ changes)
      {:rhizome, ^ref, {:overflow, seq}} -> {told, seq}
    end
  end

  describe "ends" do
    @describetag :tmp_dir
    @describetag :capture_log

    test "unsubscribing leaves nothing behind, neither there nor here" do
      store = start_store()
      set = table(store, :set)
      subscription = subscribe!(store, [set])
      for n <- 1..100, do: Rhizome.insert!(set, n)
      assert Rhizome.unsubscribe(subscription) == :ok
      assert subscriptions(store) == 0
      refute Process.alive?(subscription.relay)
      Rhizome.insert!(set, 0)
      refute_received {:rhizome, _ref, _message}
      assert Rhizome.unsubscribe(subscription) == :ok

      # Somebody else may do it, too.
      {pid, theirs} = subscriber(store, [set])
      assert Rhizome.unsubscribe(theirs) == :ok
      assert subscriptions(store) == 0
      assert Process.alive?(pid)
    end

    test "a subscriber that dies leaves no subscription and no process" do
      store = start_store()
      set = table(store, :set)
      subscribers = for _n <- 1..20, do: subscriber(store, [set])
      assert subscriptions(store) == 20
      Rhizome.insert!(set, 1)
      for {pid, _subscription} <- subscribers, do: Process.exit(pid, :kill)
      await(fn -> subscriptions(store) == 0 end)
      for {_pid, %{relay: relay}} <- subscribers, do: await(fn -> not Process.alive?(relay) end)
      # Nor do the holders stay.
      await(fn -> map_size(:sys.get_state(store).holders) == 0 end)
    end

    test "a relay that is killed leaves no subscription, and it is told" do
      store = start_store()
      %{ref: ref} = subscription = subscribe!(store, :all)
      Process.exit(subscription.relay, :kill)
      assert_receive {:rhizome, ^ref, {:down, {:relay, :killed}}}
      await(fn -> subscriptions(store) == 0 end)
      assert Rhizome.unsubscribe(subscription) == :ok

      subscription = subscribe!(store, :all)
      Process.exit(subscription.relay, :kill)
      assert Rhizome.unsubscribe(subscription) == :ok
      refute Process.alive?(subscription.watcher)
      refute_received {:rhizome, _ref, _nothing}
    end

    test "a relay that ends in order is not reported, and leaves nobody behind" do
      store = start_store()
      subscription = subscribe!(store, :all)
      assert Process.alive?(subscription.watcher)
      Rhizome.unsubscribe(subscription)
      refute Process.alive?(subscription.watcher)

      {pid, subscription} = subscriber(store, :all)
      Process.exit(pid, :kill)
      await(fn -> not Process.alive?(subscription.watcher) end)
      refute_received {:rhizome, _ref, _nothing}
    end

    test "a stream subscribes again when its relay is killed" do
      store = start_store()
      set = table(store, :set)

      task = Task.async(fn -> store |> Subscription.stream([set], from: :now) |> Enum.take(2) end)

      await(fn -> subscriptions(store) == 1 end)
      Rhizome.insert!(set, 1)
      [{relay, _holder}] = Map.to_list(:sys.get_state(store).holders)
      Process.exit(relay, :kill)
      await(fn -> not Map.has_key?(:sys.get_state(store).holders, relay) end)
      Rhizome.insert!(set, 2)
      assert [%{changes: [{_, :insert, 1}]}, %{changes: [{_, :insert, 2}]}] = Task.await(task)
    end

    test "a mark that says that there was nothing is passed on, and skipped by a stream" do
      store = start_store()
      set = table(store, :set)

      mark = fn relay, name, seq ->
        send(relay, {:rhizome_feed, name, {:changes, :erlang.term_to_binary([{seq, []}])}})
      end

      %{ref: ref, relay: relay} = subscribe!(store, [set])
      mark.(relay, :sys.get_state(relay).name, 7)
      assert_receive {:rhizome, ^ref, {:changes, [%{seq: 7, changes: []}]}}
      Process.exit(relay, :kill)
      await(fn -> subscriptions(store) == 0 end)

      # It is remembered: what is up to it is not asked for again.
      task = Task.async(fn -> store |> Subscription.stream([set], from: :now) |> Enum.take(1) end)

      await(fn -> subscriptions(store) == 1 end)
      [{relay, _holder}] = Map.to_list(:sys.get_state(store).holders)
      mark.(relay, :sys.get_state(relay).name, Rhizome.info(store).seq + 1)
      assert Task.yield(task, 50) == nil
      :erlang.suspend_process(task.pid)
      Process.exit(relay, :kill)
      Rhizome.insert!(set, 8)
      :erlang.resume_process(task.pid)
      await(fn -> subscriptions(store) == 1 end)
      Rhizome.insert!(set, 9)
      assert [%{changes: [{_, :insert, 9}]}] = Task.await(task)
    end

    test "the end of the store is told, behind everything else" do
      {:ok, store} = start_supervised({Rhizome, []}, restart: :temporary)
      set = table(store, :set)
      %{ref: ref} = subscription = subscribe!(store, [set])
      for n <- 1..10, do: Rhizome.insert!(set, n)
      seq = Rhizome.info(store).seq
      assert length(changes_until(subscription, seq)) == 10
      signal(daemon(store), "KILL")
      assert_receive {:rhizome, ^ref, {:down, {:daemon_exit, {:signal, 9}}}}
      await(fn -> not Process.alive?(subscription.relay) end)
      assert {:error, %Error{code: :stopped}} = Rhizome.subscribe(store, [set])
      assert Rhizome.unsubscribe(subscription) == :ok
    end

    test "a restart: from an old seq, from the log", %{tmp_dir: tmp_dir} do
      dir = Path.join(tmp_dir, "data")
      {:ok, store} = Rhizome.start_link(dir: dir)
      owns = Rhizome.create_table!(store, :owns, :one_to_many)
      subscription = subscribe!(store, :all)
      for n <- 1..50, do: Rhizome.put!(owns, rem(n, 7), rem(n, 10))
      {:ok, fork} = Rhizome.fork(store)
      Rhizome.put!(Rhizome.on(owns, fork), :ann, 3)
      {:ok, seq} = Rhizome.commit(fork)
      told = changes_until(subscription, seq)
      Rhizome.stop(store)

      store = start_store(dir: dir)

      for from <- [2, 10, seq] do
        resumed = subscribe!(store, :all, from: from)
        assert changes_until(resumed, seq) == Enum.filter(told, &(elem(&1, 0) >= from))
        Rhizome.unsubscribe(resumed)
      end

      # What a checkpoint stands for is told by it no more.
      Rhizome.checkpoint!(store)

      await(fn ->
        match?({:error, %Error{code: :no_history}}, Rhizome.subscribe(store, :all, from: 2))
      end)

      assert {:ok, _subscription} = Rhizome.subscribe(store, :all, from: seq + 1)
    end
  end

  describe "stream/3" do
    @describetag :tmp_dir
    @describetag :capture_log

    test "is endless, waits, and unsubscribes when it is left" do
      store = start_store()
      set = table(store, :set)
      test = self()

      task =
        Task.async(fn ->
          store
          |> Subscription.stream([set], from: :now)
          |> Stream.map(fn %{changes: [{_table, :insert, n}]} -> send(test, {:seen, n}) end)
          |> Enum.take(3)
        end)

      await(fn -> subscriptions(store) == 1 end)

      for n <- 1..3 do
        refute_received {:seen, ^n}
        Rhizome.insert!(set, n)
        assert_receive {:seen, ^n}
      end

      Task.await(task)
      assert subscriptions(store) == 0
    end

    test "goes on over the death of the daemon, nothing left out and nothing twice", context do
      name = SubscriptionStream
      {:ok, _} = start_supervised({Rhizome, name: name, dir: Path.join(context.tmp_dir, "data")})
      set = Rhizome.create_table!(name, :set, :set)

      task =
        Task.async(fn ->
          name |> Subscription.stream(:all, from: 2) |> Enum.take(300)
        end)

      for n <- 1..300 do
        if n in [100, 200] do
          pid = Process.whereis(name)
          signal(daemon(pid), "KILL")
          await(fn -> Process.whereis(name) not in [nil, pid] and Rhizome.ping(name) == :ok end)
        end

        Rhizome.insert!(set, n)
      end

      assert Task.await(task, 20_000) ==
               for(n <- 1..300, do: %{seq: n + 1, changes: [{:set, :insert, n}]})
    end

    test "of a store in memory ends with it; of one that stays away, after a while", context do
      memory = start_store()
      {:ok, disk} = Rhizome.start_link(dir: Path.join(context.tmp_dir, "data"))
      Process.unlink(disk)

      [one, other] =
        for {store, code} <- [{memory, :no_history}, {disk, :stopped}] do
          Task.async(fn ->
            error = catch_error(store |> Subscription.stream(:all, patience: 100) |> Enum.take(1))
            assert error.code == code
          end)
        end

      await(fn -> subscriptions(memory) + subscriptions(disk) == 2 end)
      signal(daemon(memory), "KILL")
      Rhizome.stop(disk)
      Task.await(one)
      Task.await(other)
    end
  end

  test "arguments are checked where they are given" do
    store = start_store()
    set = table(store, :set)
    {:ok, snapshot} = Rhizome.snapshot(store)
    assert_raise ArgumentError, fn -> Rhizome.subscribe(store, :some) end
    assert_raise ArgumentError, fn -> Rhizome.subscribe(store, [table(start_store(), :set)]) end
    assert_raise ArgumentError, fn -> Rhizome.subscribe(snapshot, [set]) end
    assert_raise ArgumentError, fn -> Rhizome.subscribe("store", :all) end

    handle = Rhizome.Handle.new(set)

    assert_raise ArgumentError, ~r/of a handle give its :view/, fn ->
      Rhizome.subscribe(store, handle)
    end

    assert_raise ArgumentError, ~r/of a handle give its :view/, fn ->
      Rhizome.subscribe(store, [handle])
    end

    assert_raise ArgumentError, ~r/a table, a view or a name/, fn ->
      Rhizome.subscribe(store, [1..2])
    end

    assert_raise ArgumentError, ~r/to no tables/, fn -> Rhizome.subscribe(store, []) end
    assert_raise ArgumentError, ~r/proper list/, fn -> Rhizome.subscribe(store, [set | :b]) end
    assert_raise ArgumentError, ~r/proper list/, fn -> Rhizome.subscribe(store, {set}) end
    assert_raise ArgumentError, ~r/%Rhizome.Subscription{}/, fn -> Rhizome.unsubscribe(:x) end

    seq = Rhizome.info(store).seq
    assert {:error, error} = Rhizome.subscribe(store, [set], from: seq + 5)
    assert error.code == :no_history
    assert error.message == "seq #{seq + 5} is not there yet; the next is #{seq + 1}"

    for option <- [from: -1, from: :start, max_queue: 0, timeout: -1, patience: 3, nope: 1] do
      assert_raise ArgumentError, fn -> Rhizome.subscribe(store, [set], [option]) end
    end

    assert_raise ArgumentError, fn -> Subscription.stream(store, [set], patience: :long) end
    assert {:error, %Error{code: :stopped}} = Rhizome.subscribe(NoSuchStore, :all)

    assert inspect(subscribe!(store, [:a, "b"])) =~
             ~r/^#Rhizome.Subscription<:a, "b", from seq 1, #PID/

    refute_received _nothing
  end
end
