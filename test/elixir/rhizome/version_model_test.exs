defmodule Rhizome.VersionModelTest do
  # Snapshots, forks and live cursors of several processes, interleaved at random
  # with writes, against the model: an immutable value, so that a snapshot of it is
  # the value, and a fork the value that goes its own way.
  #
  # What is done is a list of actions that was made before, so that a failure can
  # be made short. An action names a slot: of one of the versions, each of which
  # belongs to one of the processes, or of one of the cursors. What finds nothing
  # in its slot is left out.
  #
  #     {:ops, target, ops}               at the head or a version
  #     {:snapshot, slot} {:fork, slot, from} {:commit, slot} {:release, slot}
  #     {:check, slot}                    all of a version, both ways
  #     {:kill, actor}                    and with it what it holds
  #     {:cursor, cursor, target, name, view, direction}
  #     {:page, cursor, limit}            the next page, exactly
  #     {:write_at, cursor, how}          through the view of the cursor
  use Rhizome.Case, async: true

  alias Rhizome.{Commands, Model}

  @runs 30
  @actions 300
  @actors 3
  @slots 5
  @cursors 4

  defstruct [:store, :head, actors: %{}, versions: %{}, cursors: %{}, committed: 0, conflicts: 0]

  @tag timeout: 180_000
  test "every version and every cursor does what the model does" do
    outcomes =
      for seed <- seeds() do
        :rand.seed(:exsss, seed)
        actions = for _n <- 1..@actions, do: action()

        case run(actions) do
          {:failed, _why} -> report(shrink(actions))
          {:ok, outcome} -> outcome
        end
      end

    # It is worth something if commits of both kinds come up.
    assert Enum.sum(for {committed, _conflicts} <- outcomes, do: committed) > @runs
    assert Enum.sum(for {_committed, conflicts} <- outcomes, do: conflicts) > @runs
  end

  defp report(actions) do
    {:failed, why} = run(actions)

    flunk("""
    #{why}

    after #{length(actions)} actions, the last of which failed:

    #{Enum.map_join(actions, "\n", &inspect(&1, limit: :infinity))}

    SEED=#{base_seed()} mix test #{Path.relative_to_cwd(__ENV__.file)} replays it.
    """)
  end

  defp seeds, do: for(n <- 1..@runs, do: base_seed() * 1_000 + n)

  defp base_seed do
    case System.get_env("SEED", "") do
      "" -> ExUnit.configuration()[:seed]
      seed -> String.to_integer(seed)
    end
  end

  ## Actions

  defp action do
    case :rand.uniform(100) do
      n when n <= 14 -> {:ops, :head, [command()]}
      n when n <= 42 -> {:ops, {:version, slot()}, Commands.generate(:rand.uniform(6))}
      n when n <= 47 -> {:snapshot, slot()}
      n when n <= 62 -> {:fork, slot(), pick([:head, :head, :head, {:version, slot()}])}
      n when n <= 72 -> {:commit, slot()}
      n when n <= 74 -> {:release, slot()}
      n when n <= 76 -> {:check, slot()}
      n when n <= 77 -> {:kill, :rand.uniform(@actors)}
      n when n <= 82 -> cursor()
      n when n <= 93 -> {:page, :rand.uniform(@cursors), pick([1, 1, 2, 3])}
      _write -> {:write_at, :rand.uniform(@cursors), pick([:delete, {:insert, key()}])}
    end
  end

  defp slot, do: :rand.uniform(@slots)
  defp pick(list), do: Enum.random(list)
  defp key, do: pick([1, 1.0, 1.5, 2, :a, "a"])
  defp command, do: hd(Commands.generate(1))

  @reads [:get, :member, :has_key, :count, :key_count, :rank, :scan]

  defp read?(op), do: elem(op, 0) in @reads

  defp sides(type) when type in [:one_to_one, :one_to_many, :many_to_one, :many_to_many] do
    [:fwd, :bwd]
  end

  defp sides(_type), do: [:fwd]

  # Views of what the generator writes to; it knows them best.
  defp cursor do
    case command() do
      {command, name, view, _argument} when command in [:insert, :insert_all, :delete] ->
        target = pick([:head, :head, {:version, slot()}])
        {:cursor, :rand.uniform(@cursors), target, name, view, pick([:asc, :desc])}

      _other ->
        cursor()
    end
  end

  # Leaves out ever smaller parts while what is left still fails.
  defp shrink(actions), do: shrink(actions, max(div(length(actions), 2), 1))

  defp shrink(actions, size) do
    parts = Enum.chunk_every(actions, size)

    shorter =
      Enum.find_value(0..(length(parts) - 1), fn n ->
        candidate = parts |> List.delete_at(n) |> Enum.concat()
        if candidate != [] and match?({:failed, _}, run(candidate)), do: candidate
      end)

    cond do
      shorter -> shrink(shorter, min(size, length(shorter)))
      size > 1 -> shrink(actions, div(size, 2))
      true -> actions
    end
  end

  ## Runs

  # Each has a store of its own, in which it is done twice: what a store keeps for
  # its next command has its size then, and the account is to come back to the byte.
  defp run(actions) do
    {:ok, store} = Rhizome.start_link(start_timeout: 20_000)

    try do
      _outcome = pass(store, actions)
      empty = Rhizome.info(store).memory_bytes
      outcome = pass(store, actions)
      settle(store, :memory_bytes, empty)
      {:ok, outcome}
    catch
      {:failed, why} -> {:failed, why}
    after
      Rhizome.stop(store)
    end
  end

  defp pass(store, actions) do
    head = set_up(store)
    actors = for actor <- 1..@actors, into: %{}, do: {actor, start_actor()}
    state = Enum.reduce(actions, %__MODULE__{store: store, head: head, actors: actors}, &act/2)
    finish(state)
    {state.committed, state.conflicts}
  end

  defp set_up(store) do
    Enum.reduce(Commands.setup(), Model.new(), fn op, model ->
      {:ok, :created} = Commands.run(store, op)
      {{:ok, :created}, model} = Model.run(model, op)
      model
    end)
  end

  # Who refers to others comes behind them.
  defp drop_all(store) do
    for {name, _type} <- Enum.reverse(Commands.tables()) do
      :ok = Rhizome.drop_table(Commands.table(store, name))
    end
  end

  defp start_actor do
    {:ok, actor} = Agent.start(fn -> nil end)
    actor
  end

  # The process that a version belongs to calls `fun`.
  defp as(state, slot, fun) do
    Agent.get(state.actors[owner(slot)], fn _ -> fun.() end, :infinity)
  end

  defp owner(slot), do: rem(slot, @actors) + 1

  defp act({:ops, target, ops}, state), do: Enum.reduce(ops, state, &operate(&2, target, &1))

  defp act({:snapshot, slot}, state) do
    open(state, slot, head(state), :snapshot, fn -> Rhizome.snapshot(state.store) end)
  end

  defp act({:fork, slot, :head}, state) do
    open(state, slot, head(state), :fork, fn -> Rhizome.fork(state.store) end)
  end

  defp act({:fork, slot, {:version, from}}, state) do
    case state.versions do
      %{^from => %{kind: :snapshot} = base} ->
        begun = {base.handle.seq, base.model}
        open(state, slot, begun, :fork, fn -> Rhizome.fork(base.handle) end)

      _no_snapshot ->
        state
    end
  end

  defp act({:commit, slot}, state) do
    case state.versions do
      %{^slot => %{kind: :fork} = fork} -> commit(drop(state, slot), slot, fork)
      _no_fork -> state
    end
  end

  defp act({:release, slot}, state) do
    with_version(state, slot, fn version ->
      as(state, slot, fn -> release(version) end)
      expect_gone(version)
      drop(state, slot)
    end)
  end

  defp act({:check, slot}, state) do
    with_version(state, slot, fn version ->
      compare_contents(version.handle, version.model, "version #{slot}")
      state
    end)
  end

  defp act({:kill, actor}, state) do
    pid = state.actors[actor]
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)
    receive(do: ({:DOWN, ^monitor, :process, _pid, :killed} -> :ok))
    slots = for {slot, _version} <- state.versions, owner(slot) == actor, do: slot
    left = map_size(state.versions) - length(slots)
    settle(state.store, :snapshot_count, left)
    for slot <- slots, do: expect_gone(state.versions[slot])
    state = Enum.reduce(slots, state, &drop(&2, &1))
    %{state | actors: Map.put(state.actors, actor, start_actor())}
  end

  defp act({:cursor, cursor, target, name, view, direction}, state) do
    fresh = %{
      target: target,
      name: name,
      view: view,
      direction: direction,
      from: :none,
      next: nil
    }

    %{state | cursors: Map.put(state.cursors, cursor, Map.put(fresh, :last, nil))}
  end

  defp act({:page, cursor, limit}, state) do
    case state.cursors do
      %{^cursor => position} -> page(state, cursor, position, limit)
      _none -> state
    end
  end

  defp act({:write_at, cursor, how}, state) do
    case state.cursors do
      %{^cursor => %{last: {:element, element}} = position} ->
        write_at(state, position, element, how)

      _none_yet ->
        state
    end
  end

  ## Versions

  defp head(state), do: {Rhizome.info(state.store).seq, state.head}

  defp open(%{versions: versions} = state, slot, _begun, _kind, _fun)
       when is_map_key(versions, slot),
       do: state

  defp open(state, slot, {seq, model}, kind, fun) do
    {:ok, handle} = as(state, slot, fun)
    expect(handle.seq, seq, "the seq of a #{kind}")
    version = %{kind: kind, handle: handle, model: model, base: model, ops: []}
    %{state | versions: Map.put(state.versions, slot, version)}
  end

  # The cursors over it have nothing to go on with.
  defp drop(state, slot) do
    cursors =
      for {n, %{target: target} = c} <- state.cursors,
          target != {:version, slot},
          into: %{},
          do: {n, c}

    %{state | versions: Map.delete(state.versions, slot), cursors: cursors}
  end

  defp with_version(state, slot, fun) do
    case state.versions do
      %{^slot => version} -> fun.(version)
      _none -> state
    end
  end

  defp release(%{kind: :snapshot, handle: snapshot}), do: Rhizome.release(snapshot)
  defp release(%{kind: :fork, handle: fork}), do: Rhizome.discard(fork)

  defp expect_gone(%{handle: handle}) do
    Rhizome.count(Commands.table(handle, :set))
    throw({:failed, "#{inspect(handle)} is still there"})
  rescue
    error in Rhizome.Error -> expect(error.code, :no_snapshot, "what #{inspect(handle)} says")
  end

  # A commit that is let through has to be what the same ops, carried out now, would
  # be: answer by answer. One that wrote nothing is of the moment of its fork.
  defp commit(state, slot, %{handle: %{seq: base_seq}} = fork) do
    ops = Enum.reverse(fork.ops)
    seq = Rhizome.info(state.store).seq

    case as(state, slot, fn -> Rhizome.commit(fork.handle) end) do
      {:ok, ^base_seq} ->
        expect(fork.model.tables, fork.base.tables, "what a commit of nothing has written")
        state

      {:ok, committed} ->
        expect(committed, seq + 1, "the seq of a commit")
        {answers, head} = again(state.head, ops)
        expect(answers, for({_op, answer} <- ops, do: answer), {:committed, ops})
        compare_contents(state.store, head, "the head after a commit")
        %{state | head: head, committed: state.committed + 1}

      {:error, %{code: :conflict} = error} ->
        if Enum.all?(ops, fn {op, _answer} -> read?(op) end) or seq == base_seq,
          do: throw({:failed, "a conflict with nobody: #{inspect(error)}"})

        # Of a batch it is not said which of its tables it was.
        batch? = Enum.any?(ops, fn {op, _answer} -> elem(op, 0) == :batch end)

        if not (batch? or Map.has_key?(state.head.tables, error.details.table)),
          do: throw({:failed, "a conflict in no table: #{inspect(error)}"})

        compare_contents(state.store, state.head, "the head after a conflict")
        %{state | conflicts: state.conflicts + 1}
    end
  end

  defp again(model, ops) do
    Enum.map_reduce(ops, model, fn {op, _answer}, model ->
      {answer, model} = Model.run(model, op)
      {Commands.expected(answer), model}
    end)
  end

  ## Operations

  defp operate(state, :head, op) do
    {answer, head} = Model.run(state.head, op)
    expect(Commands.run(state.store, op), Commands.expected(answer), op)
    %{state | head: head}
  end

  defp operate(state, {:version, slot}, op) do
    with_version(state, slot, fn version ->
      if version.kind == :fork or read?(op) do
        {answer, model} = Model.run(version.model, op)
        expected = Commands.expected(answer)
        expect(as(state, slot, fn -> Commands.run(version.handle, op) end), expected, {slot, op})
        version = %{version | model: model, ops: [{op, expected} | version.ops]}
        %{state | versions: Map.put(state.versions, slot, version)}
      else
        state
      end
    end)
  end

  ## Cursors

  # A page holds what the model has beyond the last element that was returned, as it
  # is now: so what is ahead is seen as it is, and nothing comes twice.
  defp page(state, cursor, position, limit) do
    with {:ok, target, model} <- target(state, position.target) do
      %{name: name, view: view, direction: direction} = position
      op = {:scan, name, view, :elements, direction, position.from, :none, limit}
      {{:ok, items, next}, _model} = Model.run(model, op)

      options = [limit: limit, reverse: direction == :desc, cursor: position.next]
      page = Rhizome.page!(Commands.view(target, name, view), options)
      expect({page.items, page.next == nil}, {items, next == :done}, {:page, position})

      state = note_read(state, position.target, op, {:ok, items, next == :done})

      if next == :done do
        %{state | cursors: Map.delete(state.cursors, cursor)}
      else
        last = List.last(items)
        from = from(model.tables[name].type, view, last)
        position = %{position | next: page.next, from: from, last: {:element, last}}
        %{state | cursors: Map.put(state.cursors, cursor, position)}
      end
    else
      :none -> state
    end
  end

  defp from(type, :fwd, {key, _value}) when type in [:pom, :to_one], do: {:excl, key}
  defp from(_type, _view, element), do: {:after, element}

  defp target(state, :head), do: {:ok, state.store, state.head}

  defp target(state, {:version, slot}) do
    case state.versions do
      %{^slot => version} -> {:ok, version.handle, version.model}
      _none -> :none
    end
  end

  # A fork has read what a cursor has shown of it.
  defp note_read(state, {:version, slot}, op, answer) do
    %{state | versions: Map.update!(state.versions, slot, &%{&1 | ops: [{op, answer} | &1.ops]})}
  end

  defp note_read(state, :head, _op, _answer), do: state

  # Through the view that the cursor is on, right where it is: what it has returned
  # last goes, or something comes, on this side of it or on the other.
  defp write_at(state, %{name: name, view: view} = position, element, how) do
    op =
      case {how, element} do
        {:delete, _element} ->
          {:delete, name, view, element}

        {{:insert, new}, {key, _partner}} when view in [:fwd, :bwd] ->
          {:insert, name, view, {key, new}}

        {{:insert, new}, _element} ->
          {:insert, name, view, new}
      end

    operate(state, position.target, op)
  end

  ## Comparing

  defp expect(found, expected, what) do
    if found !== expected do
      throw(
        {:failed,
         "#{inspect(what, limit: :infinity)}\nexpected #{inspect(expected, limit: :infinity)}" <>
           "\n   found #{inspect(found, limit: :infinity)}"}
      )
    end
  end

  defp compare_contents(store, model, what) do
    for {name, type} <- Commands.tables(), side <- sides(type) do
      view = Commands.view(store, name, side)
      expected = Model.elements(model, name, side)
      expect(Rhizome.to_list(view), expected, {what, name, side})
      expect(Rhizome.count(view), length(expected), {what, :count, name, side})
    end
  end

  # Every version is what it was, and nothing of them is left.
  defp finish(state) do
    compare_contents(state.store, state.head, "the head")

    for {slot, version} <- state.versions do
      compare_contents(version.handle, version.model, "version #{slot} at the end")
    end

    for {_actor, pid} <- state.actors, do: Agent.stop(pid)
    settle(state.store, :snapshot_count, 0)
    settle(state.store, :snapshot_bytes, 0)
    drop_all(state.store)
  end

  # Nobody says when the daemon has come to it.
  defp settle(store, name, expected, tries \\ 400) do
    case Rhizome.info(store) do
      %{^name => ^expected} ->
        :ok

      %{^name => found} when tries == 0 ->
        expect(found, expected, name)

      _not_yet ->
        Process.sleep(5)
        settle(store, name, expected, tries - 1)
    end
  end

  ## All at once

  @evens Enum.map(1..2_000, &(2 * &1))
  @keys 40

  # Writers, readers of snapshots and walkers of what is live, all at the same time, in
  # tables that are large enough for the daemon's workers. The feed says what the store
  # was at each seq, and the snapshots have to say the same, the first time and the
  # last.
  test "snapshots are what the feed says they were, and live walks keep the passage rule" do
    store = start_store()
    owns = Rhizome.create_table!(store, :owns, :one_to_many)
    set = Rhizome.create_table!(store, :set, :set)
    {:ok, feed} = Rhizome.subscribe(store, :all, from: :now, max_queue: 1_000_000)
    Rhizome.insert_all!(set, @evens)
    Rhizome.insert_all!(owns, for(n <- 1..3_000, do: {rem(n, @keys), n}))

    writers = for n <- 1..3, do: Task.async(fn -> write(store, owns, set, n) end)
    readers = for n <- 1..3, do: Task.async(fn -> read(store, owns, set, n) end)
    walkers = for reverse <- [false, true], do: Task.async(fn -> walk(owns, set, reverse) end)

    snapshots = readers |> Task.await_many(60_000) |> Enum.concat()
    Task.await_many(walkers, 60_000)
    Task.await_many(writers, 60_000)
    await(fn -> Rhizome.info(store).snapshot_count == 0 end)

    seq = Rhizome.info(store).seq
    replay(feed.ref, %{owns: %{}, set: %{}}, seq, Enum.sort(snapshots))
    assert length(snapshots) == 24
  end

  defp write(store, owns, set, number) do
    :rand.seed(:exsss, base_seed() * 10 + number)

    for _n <- 1..1_000 do
      {key, item, odd} =
        {:rand.uniform(@keys), :rand.uniform(3_000), 2 * :rand.uniform(2_000) - 1}

      case :rand.uniform(6) do
        1 -> Rhizome.put!(owns, key, item)
        2 -> Rhizome.put!(Rhizome.bwd(owns), item, key)
        3 -> Rhizome.insert_all!(Rhizome.fwd(owns, key), [item, item + 1])
        4 -> Rhizome.delete!(Rhizome.bwd(owns, item), key)
        5 -> Rhizome.insert!(set, odd)
        6 -> move(store, owns, set, key, odd)
      end
    end
  end

  # What somebody has goes to somebody else, and a number goes with it.
  defp move(store, owns, set, key, odd) do
    {:ok, _} =
      Rhizome.transaction(
        store,
        fn tx ->
          items = Enum.take(Rhizome.fwd(Rhizome.on(owns, tx), key), 3)
          for item <- items, do: Rhizome.put!(Rhizome.on(owns, tx), rem(key + 1, @keys), item)
          Rhizome.delete!(Rhizome.on(set, tx), odd)
        end,
        max_retries: 1_000
      )
  end

  defp read(store, owns, set, number) do
    :rand.seed(:exsss, base_seed() * 20 + number)

    for _n <- 1..8 do
      Rhizome.with_snapshot(store, fn snapshot ->
        first = contents(snapshot, owns, set)
        Process.sleep(:rand.uniform(10))
        {:ok, fork} = Rhizome.fork(snapshot)
        Rhizome.clear!(Rhizome.on(owns, fork))
        assert contents(snapshot, owns, set) == first
        assert Rhizome.count(owns, at: fork) == 0
        assert Rhizome.to_list(set, at: fork) == first.set
        Rhizome.discard(fork)
        {snapshot.seq, first}
      end)
    end
  end

  # Each table forwards and backwards, which have to agree; all of it is one state.
  defp contents(snapshot, owns, set) do
    [owns, set] = for table <- [owns, set], do: Rhizome.on(table, snapshot)
    pairs = Rhizome.to_list(owns)
    assert Rhizome.to_list(owns, reverse: true) == Enum.reverse(pairs)
    assert pairs == Enum.sort(for {item, key} <- Rhizome.bwd(owns), do: {key, item})
    assert Enum.count(owns) == length(pairs)
    %{owns: pairs, set: Enum.to_list(set)}
  end

  # In order, nothing twice, and nothing left out of what was there all the time.
  defp walk(owns, set, reverse) do
    ordered = if reverse, do: &>=/2, else: &<=/2

    for size <- [50, 700, 1_000, 300] do
      seen = set |> Rhizome.stream(page_size: size, reverse: reverse) |> Enum.to_list()
      assert seen == seen |> Enum.uniq() |> Enum.sort(ordered)
      assert @evens -- seen == []

      held =
        for key <- 1..@keys,
            do: Rhizome.to_list(Rhizome.fwd(owns, key), reverse: reverse, page_size: 7)

      for items <- held, do: assert(items == items |> Enum.uniq() |> Enum.sort(ordered))
    end
  end

  defp replay(_ref, _state, _seq, []), do: :ok

  defp replay(ref, state, seq, snapshots) do
    assert_receive {:rhizome, ^ref, {:changes, changes}}

    {state, snapshots} =
      for change <- changes, reduce: {state, snapshots} do
        {state, snapshots} ->
          {now, later} = Enum.split_while(snapshots, fn {seq, _contents} -> seq < change.seq end)
          for {seq, contents} <- now, do: expect_contents(state, contents, seq)
          {Enum.reduce(change.changes, state, &change/2), later}
      end

    if List.last(changes).seq == seq do
      for {at, contents} <- snapshots, do: expect_contents(state, contents, at)
    else
      replay(ref, state, seq, snapshots)
    end
  end

  defp expect_contents(state, contents, seq) do
    for {table, elements} <- contents do
      assert Enum.sort(Map.keys(state[table])) == elements, "#{table} of the snapshot at #{seq}"
    end
  end

  defp change({table, :insert, element}, state), do: put_in(state[table][element], true)

  defp change({table, :delete, element}, state) do
    assert is_map_key(state[table], element)
    update_in(state[table], &Map.delete(&1, element))
  end
end
