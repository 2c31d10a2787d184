defmodule Rhizome.SerialisabilityTest do
  # Whatever runs at the same time, there is an order in which the same, one after
  # another, would have been answered the same.
  #
  # The order is not searched for, for the store says it: the feed has the seq of each
  # commit, and a transaction is told in it by an element of its own that it puts
  # into a journal. The model then carries out the ops of the transactions in that
  # order, and has to be given the very answers that they were given.
  use Rhizome.Case, async: true

  alias Rhizome.{Client, Commands, Error, Model}

  @runs 10
  @processes 6
  @each 12

  # Few tables and few keys, so that the transactions meet: relations that evict, the
  # cascades of those that refer to each other, ids that are given out.
  @mixes [
    [:one_to_one, :pom],
    [:one_to_many, :set],
    [:many_to_one, :to_one],
    [:people, :owners, :friends, :badges, :locks],
    [:to_many, :many_to_many, :pom]
  ]

  @tag timeout: 180_000
  test "concurrent transactions have an order" do
    outcomes =
      for n <- 1..@runs do
        seed = base_seed() * 1_000 + n
        mix = Enum.at(@mixes, rem(n, length(@mixes)))
        run(seed, mix)
      end

    # They did meet, and most of them got through.
    assert Enum.sum(for {_done, retried} <- outcomes, do: retried) > 0
    assert Enum.sum(for {done, _retried} <- outcomes, do: done) > @runs * @processes * @each / 2
  end

  defp base_seed do
    case System.get_env("SEED", "") do
      "" -> ExUnit.configuration()[:seed]
      seed -> String.to_integer(seed)
    end
  end

  defp run(seed, mix) do
    {:ok, store} = Rhizome.start_link(start_timeout: 20_000)
    setup = [{:create_table, :journal, :set, %{}} | Commands.setup()]
    for op <- setup, do: {:ok, :created} = Commands.run(store, op)
    {:ok, feed} = Rhizome.subscribe(store, [:journal], from: :now, max_queue: 100_000)

    histories =
      1..@processes
      |> Task.async_stream(&process(store, mix, seed, &1),
        max_concurrency: @processes,
        timeout: 60_000
      )
      |> Enum.map(fn {:ok, history} -> history end)

    writes =
      for {history, _retries} <- histories, {:write, id, ops} <- history, into: %{}, do: {id, ops}

    reads = for {history, _retries} <- histories, {:read, seq, ops} <- history, do: {seq, ops}
    order = for {seq, id} <- journal(feed, map_size(writes), []), do: {seq, {id, writes[id]}}
    model = Enum.reduce(setup, Model.new(), &elem(Model.run(&2, &1), 1))

    # What reads only is of the moment of its fork, behind what was committed till then.
    entries =
      Enum.sort_by(order ++ for({seq, ops} <- reads, do: {seq, {:read, ops}}), fn {seq, {id, _}} ->
        {seq, id == :read}
      end)

    model = Enum.reduce(entries, model, &replay(&1, &2, {seed, mix}))

    for {name, _type} <- Commands.tables() do
      found = Rhizome.to_list(Commands.table(store, name))
      check(found, Model.elements(model, name, :fwd), {:contents, name}, {seed, mix})
    end

    Rhizome.unsubscribe(feed)
    Rhizome.stop(store)
    {map_size(writes), Enum.sum(for {_history, retries} <- histories, do: retries)}
  end

  defp journal(_feed, 0, entries), do: Enum.reverse(entries)

  defp journal(%{ref: ref} = feed, left, entries) do
    assert_receive {:rhizome, ^ref, {:changes, changes}}
    more = for %{seq: seq, changes: [{:journal, :insert, id}]} <- changes, do: {seq, id}
    journal(feed, left - length(more), Enum.reverse(more, entries))
  end

  defp replay({seq, {id, ops}}, model, where) do
    Enum.reduce(ops, model, fn {op, found}, model ->
      {answer, model} = Model.run(model, op)
      check(found, Commands.expected(answer), {:at, seq, id, op}, where)
      model
    end)
  end

  defp check(found, expected, what, {seed, mix}) do
    if found !== expected do
      flunk("""
      no order: #{inspect(what, limit: :infinity)} of run #{seed} with #{inspect(mix)}
      expected #{inspect(expected, limit: :infinity)}
         found #{inspect(found, limit: :infinity)}

      SEED=#{base_seed()} mix test #{Path.relative_to_cwd(__ENV__.file)} makes the same \
      transactions; which of them meet is up to the schedulers.
      """)
    end
  end

  # One client: the transactions that it got through, what it read and the number
  # of times that it had to try again.
  defp process(store, mix, seed, number) do
    :rand.seed(:exsss, seed * 100 + number)

    Enum.map_reduce(1..@each, 0, fn n, retries ->
      id = {number, n}
      ops = for _n <- 1..(1 + :rand.uniform(5)), do: op(mix)

      case :rand.uniform(6) do
        1 -> {read_only(store, ops), retries}
        2 -> {alone(store, id, ops), retries}
        3 -> by_hand(store, id, ops, retries)
        _most -> transaction(store, id, ops, retries)
      end
    end)
  end

  # An op on these tables, of which some are more likely than others.
  defp op(mix) do
    op = hd(Commands.generate(1))
    if on?(op, mix), do: op, else: op(mix)
  end

  defp on?({:batch, ops}, mix), do: Enum.all?(ops, &on?(&1, mix))
  defp on?({:clear_table, name}, mix), do: name in mix and :rand.uniform(4) == 1
  defp on?(op, mix), do: elem(op, 1) in mix

  defp carry_out(target, ops) do
    for op <- ops do
      if :rand.uniform(3) == 1, do: :erlang.yield()
      {op, Commands.run(target, op)}
    end
  end

  defp enter(target, id) do
    Rhizome.insert!(Rhizome.handle(target, :journal, :set), id)
  end

  defp transaction(store, id, ops, retries) do
    attempts = :counters.new(1, [])

    {:ok, done} =
      Rhizome.transaction(
        store,
        fn tx ->
          :counters.add(attempts, 1, 1)
          done = carry_out(tx, ops)
          enter(tx, id)
          done
        end,
        max_retries: 1_000
      )

    {{:write, id, done}, retries + :counters.get(attempts, 1) - 1}
  end

  defp by_hand(store, id, ops, retries) do
    {:ok, fork} = Rhizome.fork(store)
    done = carry_out(fork, ops)
    enter(fork, id)

    case Rhizome.commit(fork) do
      {:ok, _seq} ->
        {{:write, id, done}, retries}

      {:error, %Error{code: :conflict}} ->
        Process.sleep(:rand.uniform(3))
        by_hand(store, id, ops, retries + 1)
    end
  end

  # Mutations that are none of a transaction, as one batch.
  defp alone(store, id, ops) do
    ops = Enum.filter(ops, &mutation?/1)
    journal = {:insert, :journal, :fwd, id}

    case Client.request(store, {:batch, ops ++ [journal]}, nil) do
      {:ok, results} ->
        {:write, id, [{{:batch, ops}, {:ok, results |> Enum.drop(-1) |> Enum.map(&sorted/1)}}]}

      {:error, _error} ->
        alone(store, id, [])
    end
  end

  defp sorted({outcome, evicted, cascade}) do
    cascade =
      for {table, elements} <- cascade do
        {table, if(is_list(elements), do: Model.sort(elements), else: elements)}
      end

    {outcome, Model.sort(evicted), Model.sort(cascade)}
  end

  defp read_only(store, ops) do
    ops = Enum.reject(ops, &(mutation?(&1) or elem(&1, 0) == :batch))
    {:ok, fork} = Rhizome.fork(store)
    done = carry_out(fork, ops)
    {:ok, seq} = Rhizome.commit(fork)
    assert seq == fork.seq
    {:read, seq, done}
  end

  @mutations [:insert, :insert_new, :insert_all, :delete, :delete_all, :delete_key] ++
               [:insert_row, :insert_rows, :update_row, :clear_table]

  defp mutation?(op), do: elem(op, 0) in @mutations

  ## One at a time

  # Both begin with the store as it is, and the second one to end is told whether
  # what it did is still true.
  defp race(store, slow, quick) do
    {:ok, one} = Rhizome.fork(store)
    {:ok, other} = Rhizome.fork(store)
    slow.(one)
    quick.(other)
    assert {:ok, seq} = Rhizome.commit(other)
    before = contents(store)

    case Rhizome.commit(one) do
      {:ok, _seq} ->
        :committed

      {:error, %Error{code: :conflict} = error} ->
        assert contents(store) == before
        assert Rhizome.info(store).seq == seq
        assert {:error, %Error{code: :no_snapshot}} = Rhizome.commit(one)
        {:conflict, error.details[:table]}
    end
  end

  defp contents(store), do: for(table <- Rhizome.tables(store), do: Rhizome.to_list(table))

  defp start(tables) do
    store = start_store()

    for {name, type, elements} <- tables do
      table = Rhizome.create_table!(store, name, type)

      if type == :pom,
        do: Rhizome.insert_rows!(table, elements),
        else: Rhizome.insert_all!(table, elements)
    end

    Rhizome.create_table!(store, :notes, :set)
    store
  end

  # Looking for a table reads how many elements it has, too.
  @types [people: :to_one, owns: :one_to_many, locks: :set, items: :pom, set: :set, notes: :set]

  defp on(version, name), do: handle(version, name, @types[name])
  defp handle(version, name, type), do: Rhizome.handle(version, name, type)
  defp note(version), do: Rhizome.insert!(handle(version, :notes, :set), :noted)

  describe "write skew:" do
    test "two who each leave because the other one stays" do
      store = start([{:on_call, :set, [:ann, :bob]}])

      leave = fn who ->
        fn version ->
          on_call = handle(version, :on_call, :set)
          if Rhizome.count(on_call) > 1, do: Rhizome.delete!(on_call, who)
        end
      end

      assert race(store, leave.(:ann), leave.(:bob)) == {:conflict, :on_call}
      assert Rhizome.to_list(handle(store, :on_call, :set)) == [:ann]
    end

    test "two who each write what the other one reads, in two tables" do
      store = start([{:left, :to_one, [a: 1]}, {:right, :to_one, [a: 2]}])

      copy = fn from, to ->
        fn version ->
          value = Rhizome.get(handle(version, from, :to_one), :a)
          Rhizome.put!(handle(version, to, :to_one), :a, value)
        end
      end

      assert {:conflict, table} = race(store, copy.(:left, :right), copy.(:right, :left))
      assert table in [:left, :right]
    end
  end

  test "lost update: an increment of what has been incremented" do
    store = start([{:counters, :to_one, [hits: 0, misses: 0]}])

    increment = fn name ->
      fn version ->
        counters = handle(version, :counters, :to_one)
        Rhizome.put!(counters, name, Rhizome.get(counters, name) + 1)
      end
    end

    assert race(store, increment.(:hits), increment.(:hits)) == {:conflict, :counters}
    assert race(store, increment.(:hits), increment.(:misses)) == :committed
    assert Rhizome.to_list(handle(store, :counters, :to_one)) == [hits: 2, misses: 1]

    # As a transaction, it is tried until it is right.
    1..8
    |> Task.async_stream(
      fn _n ->
        for _n <- 1..10,
            do: {:ok, _} = Rhizome.transaction(store, increment.(:hits), max_retries: 1_000)
      end,
      max_concurrency: 8,
      timeout: 60_000
    )
    |> Stream.run()

    assert Rhizome.get(handle(store, :counters, :to_one), :hits) == 82
  end

  describe "phantoms:" do
    # What sees 20, 25 and 30 of a set, in whatever words, and what does not.
    for {words, inside, outside} <- [
          {"to_list in a range", quote(do: &Rhizome.to_list(&1, from: 20, to: 30)), 40},
          {"reverse", quote(do: &Rhizome.to_list(&1, reverse: true, from: 30, to: 20)), 40},
          {"a list that a limit has ended", quote(do: &Rhizome.to_list(&1, from: 20, limit: 2)),
           31},
          {"count", quote(do: &Rhizome.count(&1, from: 20, to: 30)), 40},
          {"next", quote(do: &Rhizome.next(&1, 20)), 31},
          {"prev", quote(do: &Rhizome.prev(&1, 30)), 40},
          {"first behind", quote(do: &Rhizome.first(&1, nil, from: 21)), 31},
          {"member", quote(do: &Rhizome.member?(&1, 25)), 26},
          {"rank", quote(do: &Rhizome.rank(&1, 30)), 40},
          {"slice", quote(do: &Rhizome.slice(&1, 1, 2)), 40},
          {"where", quote(do: &Rhizome.to_list(&1, where: {:<, :key, 30}, to: 30)), 40},
          {"a stream that was left",
           quote(do: &(&1 |> Rhizome.stream(page_size: 1) |> Enum.take(2))), 40}
        ] do
      test "one that #{words} would have seen is a conflict, another is none" do
        store = start([{:set, :set, [10, 20, 30, 100]}])
        read = unquote(inside)

        slow = fn version ->
          read.(handle(version, :set, :set))
          note(version)
        end

        insert = fn n -> &Rhizome.insert!(handle(&1, :set, :set), n) end
        phantom = if unquote(words) == "a stream that was left", do: 15, else: 25
        assert race(store, slow, insert.(unquote(outside))) == :committed
        Rhizome.clear!(handle(store, :notes, :set))
        assert race(store, slow, insert.(phantom)) == {:conflict, :set}
      end
    end

    test "through an eviction: what is read goes because somebody else got it" do
      store = start([{:owns, :one_to_many, [ann: :sword, cid: :cup]}])

      for read <- [
            &Rhizome.to_list(Rhizome.fwd(&1, :ann)),
            &Rhizome.has_key?(&1, :ann),
            &Rhizome.count(Rhizome.fwd(&1, :ann)),
            &Rhizome.get(Rhizome.bwd(&1), :sword),
            &Rhizome.keys/1
          ] do
        slow = fn version ->
          read.(handle(version, :owns, :one_to_many))
          note(version)
        end

        steal = &Rhizome.put!(handle(&1, :owns, :one_to_many), :bob, :sword)
        assert race(store, slow, steal) == {:conflict, :owns}
        Rhizome.put!(handle(store, :owns, :one_to_many), :ann, :sword)
      end
    end

    test "through an eviction: what an insert has evicted, and what it has not" do
      store = start([{:owns, :one_to_many, [ann: :sword]}, {:pairs, :one_to_one, [a: 1]}])
      give = fn who, what -> &Rhizome.put!(handle(&1, :owns, :one_to_many), who, what) end
      # The sword that both take from Ann, and the axe that nobody had.
      assert race(store, give.(:bob, :sword), give.(:cid, :sword)) == {:conflict, :owns}
      assert race(store, give.(:bob, :axe), give.(:cid, :axe)) == {:conflict, :owns}
      assert race(store, give.(:bob, :bow), give.(:cid, :cup)) == :committed

      marry = fn a, b -> &Rhizome.put!(handle(&1, :pairs, :one_to_one), a, b) end
      assert race(store, marry.(:a, 2), marry.(:b, 1)) == {:conflict, :pairs}
      assert race(store, marry.(:c, 3), marry.(:d, 3)) == {:conflict, :pairs}
    end

    test "through a cascade: what goes with what it refers to" do
      store = start([{:people, :to_one, [ann: 1, bob: 2]}])
      people = handle(store, :people, :to_one)
      owns = Rhizome.create_table!(store, :owns, :one_to_many, fwd: {people, :evict})
      locks = Rhizome.create_table!(store, :locks, :set, fwd: {people, :restrict})
      Rhizome.put!(owns, :ann, :sword)
      leave = fn who -> &Rhizome.delete_key!(handle(&1, :people, :to_one), who) end

      read = fn version ->
        :ann = Rhizome.get(Rhizome.bwd(on(version, :owns)), :sword)
        note(version)
      end

      assert race(store, read, leave.(:ann)) == {:conflict, :owns}

      # The pair that is put, and the person that it needs.
      assert {:conflict, _table} =
               race(store, &Rhizome.put!(on(&1, :owns), :bob, :axe), leave.(:bob))

      refute Rhizome.has_key?(owns, :bob)

      # The person that goes, and the pair and the lock that come.
      for {who, add} <- [
            {:cid, &Rhizome.put!(on(&1, :owns), :cid, :cup)},
            {:dee, &Rhizome.insert!(on(&1, :locks), :dee)}
          ] do
        Rhizome.put!(people, who, 0)
        assert {:conflict, _table} = race(store, leave.(who), add)
        assert Rhizome.has_key?(people, who)
      end

      assert Rhizome.to_list(locks) == [:dee]
    end

    test "what was refused is read, too" do
      store = start([{:people, :to_one, []}, {:items, :pom, ["a"]}])
      people = handle(store, :people, :to_one)
      Rhizome.create_table!(store, :owns, :one_to_many, fwd: {people, :evict})

      refused = fn version ->
        {:error, %Error{code: :missing_reference}} = Rhizome.put(on(version, :owns), :ann, :sword)
        note(version)
      end

      assert {:conflict, _table} = race(store, refused, &Rhizome.put!(on(&1, :people), :ann, 1))

      not_found = fn version ->
        {:error, %Error{code: :not_found}} = Rhizome.update_row(on(version, :items), 2, "b")
        note(version)
      end

      assert race(store, not_found, &Rhizome.insert_row!(on(&1, :items), "c")) ==
               {:conflict, :items}
    end
  end

  test "ids of a pom: the same one is not given out twice" do
    store = start([{:items, :pom, []}])
    add = &Rhizome.insert_row!(handle(&1, :items, :pom), "new")
    assert race(store, add, add) == {:conflict, :items}
    assert Rhizome.to_list(handle(store, :items, :pom)) == [{1, "new"}]

    ids =
      1..6
      |> Task.async_stream(
        fn _n ->
          for _n <- 1..5 do
            {:ok, id} = Rhizome.transaction(store, add, max_retries: 1_000)
            id
          end
        end,
        max_concurrency: 6,
        timeout: 60_000
      )
      |> Enum.flat_map(fn {:ok, ids} -> ids end)

    assert Enum.sort(ids) == Enum.to_list(2..31)
  end

  test "tables: their absence, their number and their contents as a whole" do
    store = start([{:set, :set, [1, 2]}])

    for {read, change} <- [
          {&Rhizome.table(&1, :new), &Rhizome.create_table!(&1, :new, :set)},
          {&Rhizome.tables/1, &Rhizome.create_table!(&1, :newer, :set)},
          {&Rhizome.table_info(on(&1, :set)).count, &Rhizome.insert!(on(&1, :set), 3)},
          {&Rhizome.clear!(on(&1, :set)), &Rhizome.insert!(on(&1, :set), 4)},
          {&Rhizome.to_list(on(&1, :set)), &Rhizome.clear!(on(&1, :set))},
          {&Rhizome.member?(on(&1, :set), 1), &Rhizome.drop_table!(on(&1, :set))}
        ] do
      slow = fn version ->
        read.(version)
        note(version)
      end

      assert {:conflict, _table} = race(store, slow, change)
    end
  end

  test "who has only read, or is alone, is never in conflict" do
    store = start([{:set, :set, Enum.to_list(1..100)}])
    {:ok, fork} = Rhizome.fork(store)
    assert Rhizome.count(on(fork, :set)) == 100
    Rhizome.clear!(handle(store, :set, :set))
    assert Rhizome.count(on(fork, :set)) == 100
    assert Rhizome.commit(fork) == {:ok, fork.seq}

    # Other tables are none of its business, and neither are other keys of its own.
    slow = fn version ->
      Rhizome.to_list(on(version, :set), from: 1, to: 10)
      Rhizome.insert!(on(version, :set), 5)
    end

    quick = fn version ->
      Rhizome.insert_all!(on(version, :set), [0, 11])
      note(version)
    end

    assert race(store, slow, quick) == :committed
    assert Rhizome.to_list(handle(store, :set, :set)) == [0, 5, 11]
  end
end
