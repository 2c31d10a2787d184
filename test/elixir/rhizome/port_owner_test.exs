defmodule Rhizome.PortOwnerTest do
  # The life of a daemon and what its callers see of it, with the daemon itself
  # and with programs that break the rules.
  use Rhizome.Case, async: true

  alias Rhizome.{Error, OsProcess}

  @moduletag :tmp_dir
  # A daemon that is not killed fails a test, and does not keep it waiting.
  @moduletag timeout: 30_000

  # Daemons that were to be killed, and stores that were to die, log that.
  @moduletag :capture_log

  setup do
    Process.flag(:trap_exit, true)
    :ok
  end

  describe "starting" do
    test "names the executable that is missing" do
      assert {:error, %Error{code: :start_failed} = error} =
               Rhizome.start_link(executable: "/no/such/daemon")

      assert Exception.message(error) =~ "/no/such/daemon"
      assert Exception.message(error) =~ ":executable"
    end

    test "refuses a file that cannot be run", %{tmp_dir: tmp_dir} do
      path = Path.join(tmp_dir, "text")
      File.write!(path, "no program")
      assert {:error, %Error{code: :start_failed}} = Rhizome.start_link(executable: path)
    end

    test "says with what status a daemon exited", %{tmp_dir: tmp_dir} do
      for {status, reason} <- [{64, :usage}, {70, :internal}, {3, {:status, 3}}] do
        assert {:error, %Error{code: :start_failed} = error} =
                 Rhizome.start_link(executable: script(tmp_dir, "exit #{status}"))

        assert error.details.reason == reason
      end
    end

    test "refuses another protocol and leaves no process behind", %{tmp_dir: tmp_dir} do
      executable = saying(tmp_dir, frame([{:hello, hello(%{protocol: 99})}]))
      assert {:error, %Error{code: :start_failed} = error} = start(executable)
      assert error.details.reason == :protocol
      assert error.message =~ "99"
      assert_none_runs(tmp_dir)
    end

    test "refuses a first frame that is no hello", %{tmp_dir: tmp_dir} do
      for bytes <- [
            frame(:hello),
            frame([]),
            <<3::32, "abc">>,
            compressed_frame([{:hello, hello(%{version: String.duplicate("0", 1_000)})}]),
            # bytes behind the term
            <<4::32, 131, 106, 0, 0>>
          ] do
        assert {:error, %Error{code: :start_failed} = error} = start(saying(tmp_dir, bytes))
        assert error.details.reason == :no_hello
      end

      assert_none_runs(tmp_dir)
    end

    test "gives up on a daemon that says nothing, or words", %{tmp_dir: tmp_dir} do
      for bytes <- ["", "error: oops\n"] do
        {time, result} = timed(fn -> start(saying(tmp_dir, bytes), start_timeout: 100) end)
        assert {:error, %Error{code: :start_failed}} = result
        assert time in 100..3_000
      end

      assert_none_runs(tmp_dir)
    end

    test "passes the options on", %{tmp_dir: tmp_dir} do
      seen = Path.join(tmp_dir, "arguments")
      executable = script(tmp_dir, "echo \"$@\" > #{seen}; exit 0")
      start(executable, memory_limit: 1_000_000, frame_bytes_max: 4096)
      assert File.read!(seen) == "port --memory-limit 1000000 --frame-bytes-max 4096\n"
    end

    test "the daemon sees only what it has a use for of the environment", %{tmp_dir: tmp_dir} do
      System.put_env("RHIZOME_TEST_SECRET", "secret")
      seen = Path.join(tmp_dir, "environment")
      start(script(tmp_dir, "env > #{seen}; exit 0"))
      refute File.read!(seen) =~ "secret"
    end

    test "several stores under one supervisor, by name, :via and :global" do
      via = {:via, Registry, {start_registry(), :a}}
      global = {:global, make_ref()}

      start_supervised!(supervisor_spec([[name: __MODULE__.A], [name: via], [name: global]]))

      for name <- [__MODULE__.A, via, global] do
        assert Rhizome.ping(name) == :ok
        set = Rhizome.create_table!(name, :s, :set)
        assert Enum.into([2, 1], set) |> Enum.to_list() == [1, 2]
      end
    end
  end

  describe "when the daemon dies" do
    test "each waiting caller is answered, and the owner stops with the reason" do
      store = unsupervised()
      daemon = daemon(store)
      signal(daemon, "STOP")
      callers = for _n <- 1..100, do: Task.async(fn -> Rhizome.ping(store) end)
      await(fn -> in_flight(store) == 100 end)
      {time, :ok} = timed(fn -> signal(daemon, "KILL") end)
      answers = Task.await_many(callers)
      assert time < 1_000

      for answer <- answers do
        assert {:error, %Error{code: :daemon_down, details: %{outcome: :unknown}}} = answer
      end

      assert_receive {:EXIT, ^store, {:daemon_exit, {:signal, 9}}}
      assert {:error, %Error{code: :stopped}} = Rhizome.ping(store)
      assert await(fn -> not OsProcess.alive?(daemon) end)
    end

    test "the supervisor starts an empty one, and handles stay valid" do
      name = __MODULE__.Restarted
      start_store(name: name)
      set = Rhizome.create_table!(name, :s, :set)
      Rhizome.insert!(set, 1)
      old = Process.whereis(name)
      signal(daemon(name), "KILL")
      await(fn -> Process.whereis(name) not in [nil, old] and Rhizome.ping(name) == :ok end)
      assert {:error, %Error{code: :no_table}} = Rhizome.insert(set, 1)
      Rhizome.create_table!(name, :s, :set)
      assert Rhizome.insert!(set, 1).outcome == :inserted
    end

    # A sanitizer build that has lost memory by then exits with another status.
    test "SIGTERM from outside ends it in an orderly way, whatever it holds" do
      store = unsupervised()
      sizes = [0, 100, 2_000, 50_000, 300_000]

      graph = table(store, :graph)

      for n <- sizes do
        text = String.duplicate("x", n)
        Rhizome.Graph.put_vertex!(graph, n, value: text, labels: [:small, n])
        for b <- 1..100, do: Rhizome.Graph.put_edge!(graph, n, b, label: :l, value: text)
      end

      Rhizome.Graph.contract!(graph, :some, [1, 2, 100])
      Rhizome.Graph.delete_vertex!(graph, 2_000)
      Rhizome.Graph.run!(graph, :wcc)
      Rhizome.Graph.project!(graph, :kept)

      for type <- Rhizome.Table.types() -- [:graph] do
        table = table(store, type)

        for n <- sizes do
          text = String.duplicate("x", n)

          case type do
            :pom -> Rhizome.insert_row!(table, text)
            :set -> Rhizome.insert!(table, String.slice(text, 0, 30_000))
            :to_one -> for value <- [text, "new" <> text], do: Rhizome.put!(table, n, value)
            _pairs -> for b <- 1..100, do: Rhizome.put!(table, n, b)
          end
        end

        # Gone, cleared, dropped, and a batch that was undone.
        Rhizome.delete_key!(table, 2_000)
        if type == :to_many, do: Rhizome.clear!(table)
        if type == :one_to_one, do: Rhizome.drop_table!(table)
      end

      pom = table(store, :pom, [String.duplicate("x", 10_000)])

      batch =
        Rhizome.Batch.new()
        |> Rhizome.Batch.insert_row(pom, String.duplicate("y", 10_000))
        |> Rhizome.Batch.update_row(pom, 1, String.duplicate("z", 10_000))
        |> Rhizome.Batch.update_row(pom, 99, :none)

      assert {:error, %Error{code: :not_found}} = Rhizome.run(store, batch)
      signal(daemon(store), "TERM")
      assert_receive {:EXIT, ^store, {:daemon_exit, :normal}}
    end

    test "a frame that is no term ends it", %{tmp_dir: tmp_dir} do
      hello = frame([{:hello, hello(%{})}])
      path = Path.join(tmp_dir, "bytes")
      File.write!(path, [hello, <<5::32, 131, 255, 1, 2, 3>>])
      store = unsupervised(executable: script(tmp_dir, "cat #{path}; exec cat >/dev/null"))
      assert_receive {:EXIT, ^store, {:daemon_exit, :bad_frame}}
      assert_none_runs(tmp_dir)
    end

    test "events and answers that nobody knows are skipped", %{tmp_dir: tmp_dir} do
      pong = {0, :erlang.term_to_binary({:ok, :pong})}

      frames = [
        frame([{:hello, hello(%{})}, {:weather, :fine}]),
        frame([{:weather, :rain}, {77, :erlang.term_to_binary({:ok, :nobody})}, pong])
      ]

      path = Path.join(tmp_dir, "bytes")
      File.write!(path, frames)
      # The answer must not come before its question.
      body =
        "head -c #{byte_size(hd(frames))} #{path}; head -c 10 >/dev/null; " <>
          "tail -c #{byte_size(List.last(frames))} #{path}; exec cat >/dev/null"

      store = unsupervised(executable: script(tmp_dir, body))
      assert Rhizome.ping(store) == :ok
      stop(store)
    end
  end

  describe "timeouts" do
    test "the caller gets one, its mailbox stays empty, its entry goes with the late answer" do
      store = unsupervised()
      daemon = daemon(store)
      signal(daemon, "STOP")

      assert {:error, %Error{code: :timeout, details: %{outcome: :unknown}}} =
               Rhizome.ping(store, timeout: 20)

      assert in_flight(store) == 1
      signal(daemon, "CONT")
      assert Rhizome.ping(store) == :ok
      assert in_flight(store) == 0
      assert messages() == []
      stop(store)
    end

    test "the default is the store's" do
      store = unsupervised(timeout: 30, shutdown_timeout: 100)
      signal(daemon(store), "STOP")
      {time, result} = timed(fn -> Rhizome.ping(store) end)
      assert {:error, %Error{code: :timeout}} = result
      assert time in 25..2_000
      stop(store)
    end

    test "what was not written by then never is" do
      store = unsupervised()
      set = Rhizome.create_table!(store, :s, :set)
      daemon = daemon(store)
      signal(daemon, "STOP")
      # Fills the window, so that what follows has to wait in the owner.
      large = String.duplicate("x", 32_000)
      filling = for n <- 1..2, do: Task.async(fn -> Rhizome.insert(set, {n, large}) end)
      await(fn -> in_flight(store) == 2 end)
      assert {:error, %Error{code: :timeout}} = Rhizome.insert(set, :late, timeout: 20)
      signal(daemon, "CONT")
      assert [{:ok, _}, {:ok, _}] = Task.await_many(filling)
      refute Rhizome.member?(set, :late)
      assert in_flight(store) == 0
      stop(store)
    end

    test "a caller that died leaves nothing behind" do
      store = unsupervised()
      daemon = daemon(store)
      signal(daemon, "STOP")
      caller = spawn(fn -> Rhizome.ping(store) end)
      await(fn -> in_flight(store) == 1 end)
      Process.exit(caller, :kill)
      signal(daemon, "CONT")
      assert Rhizome.ping(store) == :ok
      assert in_flight(store) == 0
      stop(store)
    end
  end

  describe "limits" do
    test "beyond :max_in_flight the answer is :overloaded, at once", %{tmp_dir: tmp_dir} do
      store = unsupervised(executable: mute_daemon(tmp_dir), max_in_flight: 10)
      callers = for _n <- 1..10, do: Task.async(fn -> Rhizome.ping(store, timeout: 500) end)
      await(fn -> in_flight(store) == 10 end)
      assert {:error, %Error{code: :overloaded} = error} = Rhizome.ping(store)
      assert %{limit: :max_in_flight, value: 10, outcome: :not_sent} = error.details
      for {:error, error} <- Task.await_many(callers), do: assert(error.code == :timeout)
      stop(store)
    end

    test "the same for bytes, but one large request passes alone", %{tmp_dir: tmp_dir} do
      options = [executable: mute_daemon(tmp_dir), max_in_flight_bytes: 1_000]
      store = unsupervised(options)
      set = Rhizome.handle(store, :s, :set)
      large = String.duplicate("x", 5_000)
      first = Task.async(fn -> Rhizome.insert(set, large, timeout: 500) end)
      await(fn -> in_flight(store) == 1 end)
      assert {:error, %Error{code: :overloaded} = error} = Rhizome.insert(set, 1)
      assert error.details.limit == :max_in_flight_bytes
      assert {:error, %Error{code: :timeout}} = Task.await(first)
      stop(store)
    end

    test "a request larger than a frame is refused and the session goes on" do
      store = unsupervised(frame_bytes_max: 4096)
      set = Rhizome.create_table!(store, :s, :set)
      value = String.duplicate("x", 5_000)
      assert {:error, %Error{code: :too_big} = error} = Rhizome.insert(set, value)
      assert error.message =~ ":frame_bytes_max"
      assert Rhizome.ping(store) == :ok
      stop(store)
    end

    test "the owner is never suspended: it answers while the daemon reads nothing",
         %{tmp_dir: tmp_dir} do
      store = unsupervised(executable: stuck_daemon(tmp_dir), shutdown_timeout: 200)
      set = Rhizome.handle(store, :s, :set)

      callers =
        for size <- [10, 100, 2_049, 5_000, 70_000], _n <- 1..40 do
          Task.async(fn ->
            Rhizome.insert(set, String.duplicate("x", size), timeout: 1_000)
          end)
        end

      await(fn -> in_flight(store) == 200 end)
      {time, _state} = timed(fn -> :sys.get_state(store) end)
      assert time < 500
      for {:error, error} <- Task.await_many(callers), do: assert(error.code == :timeout)
      assert_stops_within(store, 200)
    end

    test "requests of many callers share frames" do
      store = unsupervised()
      before = Rhizome.info(store)
      signal(daemon(store), "STOP")
      callers = for _n <- 1..500, do: Task.async(fn -> Rhizome.ping(store) end)
      await(fn -> in_flight(store) == 500 end)
      signal(daemon(store), "CONT")
      assert Enum.all?(Task.await_many(callers), &(&1 == :ok))
      info = Rhizome.info(store)
      assert info.commands - before.commands == 501
      assert info.frames_in - before.frames_in <= 501
      stop(store)
    end
  end

  describe "stopping" do
    test "ends the daemon and takes no time" do
      store = unsupervised()
      daemon = daemon(store)
      {time, :ok} = timed(fn -> Rhizome.stop(store) end)
      assert time < 2_000
      refute OsProcess.alive?(daemon)
      assert {:error, %Error{code: :stopped} = error} = Rhizome.ping(store)
      assert error.details.outcome == :not_sent
      assert_raise Error, ~r/not running/, fn -> Rhizome.tables(store) end
    end

    test "answers what is in flight first" do
      store = unsupervised()
      set = Rhizome.create_table!(store, :s, :set)
      signal(daemon(store), "STOP")
      callers = for n <- 1..50, do: Task.async(fn -> Rhizome.insert(set, n) end)
      await(fn -> in_flight(store) == 50 end)
      daemon = daemon(store)
      stopping = Task.async(fn -> Rhizome.stop(store) end)
      await(fn -> Process.info(store, :current_function) != {:gen_server, :loop, 7} end)
      signal(daemon, "CONT")
      assert Enum.all?(Task.await_many(callers), &match?({:ok, _change}, &1))
      assert Task.await(stopping) == :ok
      refute OsProcess.alive?(daemon)
    end

    test "a daemon that is stopped by a signal costs the grace period and is killed" do
      store = unsupervised(shutdown_timeout: 300)
      daemon = daemon(store)
      signal(daemon, "STOP")
      set = Rhizome.handle(store, :s, :set)
      large = String.duplicate("x", 200_000)
      callers = for _n <- 1..5, do: Task.async(fn -> Rhizome.insert(set, large) end)
      await(fn -> in_flight(store) == 5 end)
      assert_stops_within(store, 300)
      refute OsProcess.alive?(daemon)

      for {:error, error} <- Task.await_many(callers) do
        assert error.code ==
                 if(error.details.outcome == :unknown, do: :unknown_result, else: :stopped)
      end
    end

    test "the same from a supervisor, and for a daemon that ignores the end of its stdin",
         %{tmp_dir: tmp_dir} do
      options = [executable: stuck_daemon(tmp_dir), shutdown_timeout: 200]
      {:ok, supervisor} = Supervisor.start_link([{Rhizome, options}], strategy: :one_for_one)
      [{Rhizome, store, :worker, [Rhizome]}] = Supervisor.which_children(supervisor)
      daemon = daemon(store)
      {time, :ok} = timed(fn -> Supervisor.stop(supervisor) end)
      assert time in 150..2_500
      refute OsProcess.alive?(daemon)
    end

    test "an owner that is killed takes its daemon along" do
      store = unsupervised()
      daemon = daemon(store)
      Process.exit(store, :kill)
      assert_receive {:EXIT, ^store, :killed}
      await(fn -> not OsProcess.alive?(daemon) end)
    end

    test "an owner that is killed takes even a stopped daemon with a full queue along" do
      store = unsupervised(shutdown_timeout: 200)
      daemon = daemon(store)
      signal(daemon, "STOP")
      set = Rhizome.handle(store, :s, :set)
      large = String.duplicate("x", 500_000)
      caller = Task.async(fn -> Rhizome.insert(set, large) end)
      await(fn -> in_flight(store) == 1 end)
      Process.exit(store, :kill)
      assert {:error, %Error{code: :unknown_result}} = Task.await(caller)
      await(fn -> not OsProcess.alive?(daemon) end)
    end

    test "the process that started it takes it along" do
      test = self()

      starter =
        spawn(fn ->
          send(test, {:store, unsupervised()})
          Process.sleep(:infinity)
        end)

      assert_receive {:store, store}, 20_000
      daemon = daemon(store)
      Process.exit(starter, :kill)
      await(fn -> not Process.alive?(store) and not OsProcess.alive?(daemon) end)
    end
  end

  describe "strangers" do
    test "casts, messages and calls that mean nothing change nothing" do
      store = unsupervised()
      GenServer.cast(store, :stray)
      send(store, :stray)
      assert {:error, %Error{code: :bad_request}} = GenServer.call(store, :stray)
      assert Rhizome.ping(store) == :ok
      stop(store)
    end
  end

  describe "crash reports" do
    test "show how much was in flight and never what" do
      store = unsupervised()
      signal(daemon(store), "STOP")
      set = Rhizome.handle(store, :s, :set)
      Task.start(fn -> Rhizome.insert(set, "a secret") end)
      await(fn -> in_flight(store) == 1 end)
      state = :sys.get_state(store)
      request = {:"$gen_call", {self(), make_ref()}, {:request, "a secret", :infinity}}

      report =
        Rhizome.PortOwner.format_status(%{
          state: state,
          message: request,
          reason: :oops,
          log: [request]
        })

      refute inspect(report, limit: :infinity) =~ "secret"
      assert report.state.in_flight == 1
      signal(daemon(store), "CONT")
      stop(store)
    end
  end

  ## Helpers

  defp start(executable, options \\ []) do
    Rhizome.start_link([executable: executable] ++ options)
  end

  # Linked to the test, which traps exits to see its end.
  defp unsupervised(options \\ []) do
    {:ok, store} = Rhizome.start_link(Keyword.put_new(options, :start_timeout, 20_000))
    store
  end

  defp stop(store) do
    Rhizome.stop(store)
    assert_receive {:EXIT, ^store, :normal}
  end

  defp in_flight(store), do: :sys.get_state(store).in_flight

  defp assert_stops_within(store, grace) do
    {time, :ok} = timed(fn -> Rhizome.stop(store) end)
    assert time < grace + 2_000
  end

  defp compressed_frame(term) do
    <<131, 80, _rest::binary>> = bytes = :erlang.term_to_binary(term, [:compressed])
    <<byte_size(bytes)::32, bytes::binary>>
  end

  # What waits for this process, but for the ends of the ports of its signals.
  defp messages do
    {:messages, messages} = Process.info(self(), :messages)
    for message <- messages, not match?({:EXIT, port, _} when is_port(port), message), do: message
  end

  # No program whose command line names the directory.
  defp assert_none_runs(directory) do
    await(fn ->
      for("/proc/" <> _ = path <- Path.wildcard("/proc/[0-9]*/cmdline"), do: File.read(path))
      |> Enum.all?(fn
        {:ok, text} -> not String.contains?(text, directory)
        {:error, _gone} -> true
      end)
    end)
  end

  defp start_registry do
    name = Module.concat(__MODULE__, "Registry")
    start_supervised!({Registry, keys: :unique, name: name})
    name
  end

  defp supervisor_spec(stores) do
    children = for options <- stores, do: {Rhizome, options}

    %{
      id: :stores,
      type: :supervisor,
      start: {Supervisor, :start_link, [children, [strategy: :one_for_one]]}
    }
  end
end
