defmodule Rhizome.LimitsTest do
  # Conditions, the limits of long reads, and what becomes of reads that nobody
  # waits for.
  use Rhizome.Case, async: true

  alias Rhizome.{Error, Page}

  doctest Rhizome.Condition

  # Long enough to be in the middle of it.
  @many 300_000

  setup do
    %{store: start_store()}
  end

  describe "where:" do
    test "says what is read, by every function that takes it", %{store: store} do
      pairs = for n <- 1..1_000, do: {n, rem(n, 10)}
      table = table(store, :to_one, pairs)
      where = [where: {:==, :value, 3}]
      expected = for {n, 3} <- pairs, do: {n, 3}

      assert Rhizome.to_list(table, where) == expected
      assert Rhizome.to_list(table, [reverse: true] ++ where) == Enum.reverse(expected)

      assert Rhizome.to_list(table, [from: 500, to: 600] ++ where) ==
               for(n <- 503..593//10, do: {n, 3})

      assert Rhizome.to_list(table, [limit: 7, page_size: 3] ++ where) == Enum.take(expected, 7)
      assert Rhizome.keys(table, where) == for({n, 3} <- expected, do: n)
      assert Rhizome.values(table, where) == for({_n, 3} <- expected, do: 3)
      assert table |> Rhizome.stream([page_size: 9] ++ where) |> Enum.to_list() == expected
      assert Rhizome.count(table, where) == 100
      assert Rhizome.count(table, [from: 500] ++ where) == 50
      assert Rhizome.first(table, nil, where) == {3, 3}
      assert Rhizome.last(table, nil, where) == {993, 3}
      assert Rhizome.next(table, 3, nil, where) == {13, 3}
      assert Rhizome.prev(table, 13, nil, where) == {3, 3}
      assert Rhizome.page!(table, [limit: 2] ++ where).items == [{3, 3}, {13, 3}]

      Rhizome.with_snapshot(store, fn snapshot ->
        Rhizome.clear!(table)
        assert Rhizome.count(table, [at: snapshot] ++ where) == 100
        assert Rhizome.to_list(Rhizome.on(table, snapshot), where) == expected
      end)
    end

    test "is what Elixir says", %{store: store} do
      values = [1, 1.0, 2, :a, "a", {1, :x}, {2, %{age: 3}}, %{age: 3}, %{age: 4.0}, [1], {}]
      elements = for {value, n} <- Enum.with_index(values), do: {n, value}
      table = table(store, :to_one, elements)

      age = fn
        {_, %{age: _} = map} -> {:ok, map.age}
        {_, {_, %{age: age}}} -> {:ok, age}
        _other -> :none
      end

      for {condition, holds?} <- [
            {{:==, :value, 1}, fn {_, value} -> value === 1 end},
            {{:!=, :value, 1}, fn {_, value} -> value !== 1 end},
            {{:==, :key, 3}, fn {key, _} -> key == 3 end},
            {{:<, :value, :a}, fn {_, value} -> value < :a end},
            {{:<=, :value, :a}, fn {_, value} -> value <= :a end},
            {{:>, :value, "a"}, fn {_, value} -> value > "a" end},
            {{:>=, :value, {}}, fn {_, value} -> value >= {} end},
            {{:in, :value, [1.0, {}, :b]}, fn {_, value} -> value === 1.0 or value == {} end},
            {{:in, :key, []}, fn _element -> false end},
            {{:and, [{:>, :key, 2}, {:<, :key, 5}]}, fn {key, _} -> key in 3..4 end},
            {{:or, [{:==, :key, 2}, {:==, :key, 5}]}, fn {key, _} -> key in [2, 5] end},
            {{:and, []}, fn _element -> true end},
            {{:or, []}, fn _element -> false end},
            {{:not, {:==, :key, 2}}, fn {key, _} -> key != 2 end},
            {{:==, {:element, 2, :value}, :x}, fn {_, value} -> value == {1, :x} end},
            {{:==, {:map_get, :age, :value}, 3}, fn {_, value} -> value == %{age: 3} end},
            {{:!=, {:map_get, :age, :value}, 3}, fn {_, value} -> value == %{age: 4.0} end},
            {{:>=, {:map_get, :age, {:element, 2, :value}}, 3},
             fn {_, value} -> is_tuple(value) and age.({0, value}) == {:ok, 3} end}
          ] do
        assert Rhizome.to_list(table, where: condition) == Enum.filter(elements, holds?),
               inspect(condition)

        assert Rhizome.count(table, where: condition) == Enum.count(elements, holds?)
      end
    end

    test "knows the element of a set, of a side and of a held set", %{store: store} do
      set = table(store, :set, [1, 2, {3, :a}])
      owns = table(store, :one_to_many, ann: :axe, ann: :bow, bob: :club)
      assert Rhizome.to_list(set, where: {:>, :key, 1}) == [2, {3, :a}]
      assert Rhizome.to_list(set, where: {:==, {:element, 2, :key}, :a}) == [{3, :a}]
      assert Rhizome.to_list(owns, where: {:==, :key, :ann}) == [ann: :axe, ann: :bow]
      assert Rhizome.to_list(owns, where: {:>, :value, :axe}) == [ann: :bow, bob: :club]
      assert Rhizome.to_list(Rhizome.bwd(owns), where: {:==, :value, :bob}) == [club: :bob]
      assert Rhizome.to_list(Rhizome.fwd(owns, :ann), where: {:>, :value, :axe}) == [:bow]
      assert Rhizome.count(Rhizome.fwd(owns, :ann), where: {:!=, :value, :axe}) == 1
    end

    test "is checked in the caller" do
      set = Rhizome.handle(NoSuchStore, :s, :set)

      for wrong <- [
            :value,
            {:==, :value},
            {:=, :key, 1},
            {:==, "value", 1},
            {:==, {:element, 0, :value}, 1},
            {:==, {:element, 1}, 1},
            {:in, :key, 1},
            {:in, :key, [1 | 2]},
            {:and, {:==, :key, 1}},
            {:or, [{:==, :key, 1} | :x]},
            {:and, [:key]},
            {:not, []}
          ] do
        assert_raise ArgumentError, fn -> Rhizome.to_list(set, where: wrong) end
        assert_raise ArgumentError, fn -> Rhizome.count(set, where: wrong) end
      end

      for wrong <- [[max_rows: 0], [max_memory: 0], [max_rows: :all], [at: :store]] do
        assert_raise ArgumentError, fn -> Rhizome.to_list(set, wrong) end
      end
    end
  end

  describe "max_rows:" do
    setup %{store: store} do
      %{set: table(store, :set, Enum.to_list(1..2_000))}
    end

    test "ends a page, and the next one goes on", %{set: set} do
      where = {:>, :key, 1_000}
      options = [where: where, max_rows: 400, limit: 1_000]
      assert %Page{items: [], stopped: :row_limit} = page = Rhizome.page!(set, options)
      assert pages(set, options, page, [page]) == for(n <- 1_001..2_000, do: n)
      assert Rhizome.page!(set, limit: 10).stopped == nil
    end

    defp pages(_set, _options, %Page{next: nil}, pages) do
      pages |> Enum.reverse() |> Enum.flat_map(& &1.items)
    end

    defp pages(set, options, page, pages) do
      page = Rhizome.page!(set, [cursor: page.next] ++ options)
      pages(set, options, page, [page | pages])
    end

    test "a stream goes on by itself", %{set: set} do
      stream = Rhizome.stream(set, where: {:>, :key, 1_990}, max_rows: 300)
      assert Enum.to_list(stream) == Enum.to_list(1_991..2_000)
    end

    test "a list is whole or an error that says where it stopped", %{set: set} do
      options = [where: {:>, :key, 1_000}, max_rows: 1_500]
      error = assert_raise Error, fn -> Rhizome.to_list(set, options) end
      assert %{code: :row_limit, details: %{next: next, count: 500}} = error
      assert Rhizome.to_list(set, [cursor: next] ++ options) == Enum.to_list(1_501..2_000)

      for fun <- [&Rhizome.keys/2, &Rhizome.first(&1, nil, &2)] do
        options = [where: {:>, :key, 1_900}, max_rows: 1_500]
        assert %{code: :row_limit} = assert_raise(Error, fn -> fun.(set, options) end)
      end
    end

    test "a count says how many it had", %{set: set} do
      options = [where: {:>, :key, 1_000}, max_rows: 1_500]
      error = assert_raise Error, fn -> Rhizome.count(set, options) end
      assert %{code: :row_limit, details: %{next: next, count: 500}} = error
      assert Rhizome.count(set, [cursor: next] ++ options) == 500
    end

    test "a count goes on behind an element that is too large for an error", %{store: store} do
      keys = for n <- 1..9, do: {n, String.duplicate("x", 9_000)}
      large = table(store, :set, keys)
      options = [where: {:>, :key, {3, ""}}, max_rows: 5]
      error = assert_raise Error, fn -> Rhizome.count(large, options) end
      assert %{code: :row_limit, details: %{next: {:pos, 5} = next, count: 3}} = error
      assert Rhizome.count(large, [cursor: next] ++ options) == 4
    end
  end

  describe "max_memory:" do
    test "makes more pages of a list, and ends one page", %{store: store} do
      elements = for n <- 1..500, do: {n, String.duplicate("x", 1_000)}
      table = table(store, :to_one, elements)
      assert Rhizome.to_list(table, max_memory: 50_000) == elements
      page = Rhizome.page!(table, max_memory: 50_000, limit: 500)
      assert page.stopped == :memory_budget
      assert length(page.items) in 1..60
      stream = Rhizome.stream(table, max_memory: 50_000)
      assert Enum.to_list(stream) == elements
    end
  end

  describe "the time" do
    setup %{store: store} do
      %{set: table(store, :set, Enum.to_list(1..@many))}
    end

    # A condition that takes its time over each element.
    defp slow(factor \\ 200) do
      {:or, for(n <- 1..factor, do: {:==, :key, -n})}
    end

    # Where a read had come to when its time was up. On a busy machine that may
    # be over before the read has begun: it says so, and is given more.
    defp midway(read, time \\ 10) do
      case read.(time) do
        {:after, reached} -> assert reached in 1..@many
        :none -> midway(read, 2 * time)
      end
    end

    test "is the daemon's, who says how far it came", %{store: store, set: set} do
      late = fn fun ->
        error = assert_raise Error, fun
        assert %{code: :deadline, details: %{count: 0, next: next}} = error
        next
      end

      midway(fn time ->
        late.(fn -> Rhizome.count(set, where: slow(), timeout: time) end)
      end)

      midway(fn time ->
        late.(fn -> Rhizome.to_list(set, where: slow(), timeout: time) end)
      end)

      midway(fn time ->
        page = Rhizome.page!(set, where: slow(), timeout: time)
        assert %Page{items: [], stopped: :deadline, next: next} = page
        next
      end)

      assert Rhizome.info(store).reads.running == 0

      # A stream takes as many requests as it needs.
      where = {:or, [{:>, :key, @many - 2}, slow()]}
      stream = Rhizome.stream(set, where: where, timeout: 300)
      assert Enum.to_list(stream) == [@many - 1, @many]
    end

    test "may be up before the first element: it goes on where it would have begun",
         %{set: set} do
      none = [where: slow(), timeout: 0]
      some = [where: {:in, :key, [1_007, 1_008, 1_009]}]

      for {start, ascending, descending} <- [
            {[], [1_007, 1_008, 1_009], [1_009, 1_008, 1_007]},
            {[from: 1_008], [1_008, 1_009], [1_008, 1_007]},
            {[beyond: 1_008], [1_009], [1_007]},
            {[after: 1_008], [1_009], [1_007]},
            {[position: 1_007], [1_008, 1_009], [1_008, 1_007]}
          ] do
        assert %Page{items: [], stopped: :deadline} = page = Rhizome.page!(set, none ++ start)
        assert Rhizome.page!(set, [cursor: page.next] ++ some).items == ascending
        assert Rhizome.to_list(set, [cursor: page.next] ++ some) == ascending

        back = [reverse: true] ++ start
        assert %Page{items: [], stopped: :deadline} = page = Rhizome.page!(set, none ++ back)
        some_back = [reverse: true, cursor: page.next] ++ some
        assert Rhizome.page!(set, some_back).items == descending

        error = assert_raise Error, fn -> Rhizome.count(set, none ++ start) end
        assert %{code: :deadline, details: %{count: 0, next: next}} = error
        assert Rhizome.count(set, [cursor: next] ++ some) == length(ascending)
      end
    end

    test "is the store's if nothing is said, and may be endless", %{set: set} do
      store = start_store(timeout: 10)
      # the table is filled more slowly than this store would wait
      mine = Rhizome.create_table!(store, :s, :set, timeout: 5_000)
      elements = Enum.chunk_every(1..@many, 10_000)
      Enum.each(elements, &Rhizome.insert_all!(mine, &1, timeout: 5_000))

      error = assert_raise Error, fn -> Rhizome.count(mine, where: slow()) end
      assert error.code == :deadline
      assert Rhizome.count(mine, where: {:<, :key, 5}, timeout: :infinity) == 4
      assert Rhizome.count(set, where: {:<, :key, 5}, timeout: :infinity) == 4
    end

    test "others do not wait meanwhile", %{store: store, set: set} do
      # More bytes of them than a pipe holds, and one that is larger than that.
      large = {:or, [{:in, :key, Enum.to_list(-20_000..-1)}, slow()]}
      conditions = [large | List.duplicate(slow(), 40)]

      readers =
        for condition <- conditions do
          spawn_link(fn ->
            assert outcome(fn -> Rhizome.count(set, where: condition, timeout: 3_000) end) in [
                     0,
                     :deadline
                   ]
          end)
        end

      await(fn -> Rhizome.info(store).reads.running > 0 end)
      for n <- 1..100, do: assert(Rhizome.insert!(set, {n}).outcome == :inserted)
      assert %{running: running, waiting: waiting} = Rhizome.info(store).reads
      assert running > 0 and running + waiting > 30

      monitors = Enum.map(readers, &Process.monitor/1)
      for monitor <- monitors, do: assert_receive({:DOWN, ^monitor, _, _, :normal}, 30_000)
      assert idle?(store)
      state = :sys.get_state(store)
      assert {state.in_flight, state.in_flight_bytes} == {0, 0}
      assert %{written: 0, long: 0, pinged: 0, ping_last: nil} = state.window
    end
  end

  describe "a caller that dies" do
    setup %{store: store} do
      %{set: table(store, :set, Enum.to_list(1..@many))}
    end

    test "in a long read leaves no work behind", %{store: store, set: set} do
      endless = fn -> Rhizome.count(set, where: slow(), timeout: :infinity) end
      readers = for _n <- 1..20, do: spawn(endless)
      await(fn -> Rhizome.info(store).reads.running > 0 end)
      Enum.each(readers, &Process.exit(&1, :kill))
      await(fn -> idle?(store) end)
      assert Rhizome.info(store).reads.cancelled > 0
      await(fn -> :sys.get_state(store).in_flight == 0 end)
      assert Rhizome.count(set, where: {:==, :key, 7}) == 1
    end

    test "before it was watched, too", %{store: store, set: set} do
      for _n <- 1..20 do
        {pid, monitor} =
          spawn_monitor(fn -> Rhizome.count(set, where: slow(), timeout: :infinity) end)

        Process.exit(pid, :kill)
        assert_receive {:DOWN, ^monitor, _, _, _}
      end

      await(fn -> idle?(store) end)
      await(fn -> :sys.get_state(store).in_flight == 0 end)
    end

    test "with a read that was not sent yet is not sent at all", %{store: store, set: set} do
      daemon = daemon(store)
      signal(daemon, "STOP")
      # Fills the window, so that what follows has to wait in the owner.
      large = String.duplicate("x", 32_000)
      filling = for n <- 1..2, do: Task.async(fn -> Rhizome.insert(set, {n, large}) end)
      await(fn -> :sys.get_state(store).in_flight == 2 end)
      {pid, monitor} = spawn_monitor(fn -> Rhizome.count(set, where: slow()) end)
      await(fn -> :sys.get_state(store).in_flight == 3 end)
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, _, _, _}
      await(fn -> :sys.get_state(store).in_flight == 2 end)
      signal(daemon, "CONT")
      assert [{:ok, _}, {:ok, _}] = Task.await_many(filling)
      assert %{running: 0, waiting: 0, done: 0, cancelled: 0} = Rhizome.info(store).reads
    end

    test "in a short read, or behind a long one, costs nothing", %{store: store, set: set} do
      for _n <- 1..100, do: assert(length(Rhizome.to_list(set, limit: 1_000)) == 1_000)
      Process.sleep(50)
      state = :sys.get_state(store)
      assert {state.in_flight, state.watch} == {0, false}
      assert {:monitors, []} = Process.info(store, :monitors)
      {:dictionary, dictionary} = Process.info(store, :dictionary)
      assert for({key, _value} <- dictionary, is_reference(key) or is_integer(key), do: key) == []
    end
  end

  describe "a read that the owner gives up" do
    # A daemon that does not answer is none that keeps its deadlines.
    test "is cancelled, and its entry goes with the late answer", %{store: store} do
      set = table(store, :set, Enum.to_list(1..1_000))
      daemon = daemon(store)
      signal(daemon, "STOP")

      {time, error} =
        timed(fn ->
          assert_raise Error, fn -> Rhizome.to_list(set, timeout: 50) end
        end)

      assert error.code == :timeout
      assert time in 500..5_000
      # The read, and the order to cancel it.
      assert :sys.get_state(store).in_flight == 2
      signal(daemon, "CONT")
      await(fn -> :sys.get_state(store).in_flight == 0 end)
      assert idle?(store)
    end
  end

  describe "a stop" do
    test "does not wait for a long read, nor kills the daemon for it", %{store: store} do
      set = table(store, :set, Enum.to_list(1..@many))
      daemon = daemon(store)

      readers =
        for _n <- 1..8 do
          Task.async(fn ->
            catch_error(Rhizome.count(set, where: slow(490), timeout: :infinity))
          end)
        end

      await(fn -> Rhizome.info(store).reads.running > 0 end)

      log =
        ExUnit.CaptureLog.capture_log(fn ->
          {time, :ok} = timed(fn -> Rhizome.stop(store) end)
          assert time < 4_500
        end)

      refute log =~ "#{inspect(store)}: the daemon had not ended"
      for error <- Task.await_many(readers), do: assert(%Error{code: :stopped} = error)
      refute Rhizome.OsProcess.alive?(daemon)
    end
  end

  describe "the window" do
    alias Rhizome.Window

    test "is shut by what may not be read, and opened by answers" do
      window = Window.written(Window.new(), 0, 40_000, 0)
      refute Window.open?(window)
      refute Window.ping?(window)
      assert window |> Window.answered(40_000) |> Window.open?()
    end

    test "long reads leave it when a ping behind them is answered" do
      window = Window.written(Window.new(), 9, 40_000, 40_000)
      assert Window.ping?(window)
      window = window |> Window.pinged(30) |> Window.written(19, 20_000, 20_000)
      refute Window.open?(window) or Window.ping?(window)

      # one from before the ping, one from behind it
      window = window |> Window.read_answered(3, 1_000) |> Window.read_answered(10, 2_000)
      assert %{written: 57_030, pinged: 39_000, long: 18_000} = window
      window = Window.ping_answered(window, 30)
      assert %{written: 18_000, pinged: 0, long: 18_000} = window
      assert Window.open?(window) and Window.ping?(window)

      # late answers count no more
      assert Window.read_answered(window, 9, 5_000) == window
      window = window |> Window.pinged(30) |> Window.read_answered(12, 18_000)
      assert Window.ping_answered(window, 30).written == 0
    end
  end

  describe "options of the store" do
    @describetag :tmp_dir

    test "are passed on", %{tmp_dir: tmp_dir} do
      seen = Path.join(tmp_dir, "arguments")
      executable = script(tmp_dir, "echo \"$@\" > #{seen}; exit 0")
      Process.flag(:trap_exit, true)

      ExUnit.CaptureLog.capture_log(fn ->
        for {age, argument} <- [{60_000, 60_000}, {:infinity, 0}] do
          options = [executable: executable, max_snapshots: 10, max_snapshot_age: age]
          assert {:error, %Error{code: :start_failed}} = Rhizome.start_link(options)

          assert File.read!(seen) ==
                   "port --snapshots-max 10 --snapshot-age-max #{argument}\n"
        end
      end)
    end

    test "are checked" do
      for {option, wrong} <- [
            max_snapshots: 0,
            max_snapshots: :infinity,
            max_snapshot_age: 0,
            max_snapshot_age: "1 h"
          ] do
        error = assert_raise ArgumentError, fn -> Rhizome.start_link([{option, wrong}]) end
        assert error.message =~ "option #{inspect(option)} must be"
      end
    end
  end

  defp outcome(fun) do
    fun.()
  rescue
    error in Error -> error.code
  end

  defp idle?(store), do: match?(%{running: 0, waiting: 0}, Rhizome.info(store).reads)
end
