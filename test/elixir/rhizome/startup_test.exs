defmodule Rhizome.StartupTest do
  # What a store makes of the words of a daemon that has a directory. The
  # daemons are scripts that say them; the real one is in durability_test.exs.
  use Rhizome.Case, async: true

  import ExUnit.CaptureLog

  alias Rhizome.{Directories, Error}

  @moduletag :tmp_dir
  @moduletag timeout: 30_000
  @moduletag :capture_log

  @store_id <<1::128>>
  @hex "00000000000000000000000000000001"

  setup do
    Process.flag(:trap_exit, true)
    :ok
  end

  describe "arguments" do
    test "are those of the options", %{tmp_dir: tmp_dir} do
      dir = Path.join(tmp_dir, "store")

      for {options, expected} <- [
            {[], "--sync interval:1000 --segment-bytes 67108864 --lock-wait 1500"},
            {[sync: :none, segment_bytes: 65_536],
             "--sync none --segment-bytes 65536 --lock-wait 1500"},
            {[sync: {:interval, 20}, checkpoint: [ratio: 0.5, min_bytes: 0, at_stop: true]],
             "--sync interval:20 --checkpoint-ratio 0.5 --checkpoint-min 0 " <>
               "--segment-bytes 67108864 --lock-wait 1500 --checkpoint-at-stop"},
            {[sync: :always, checkpoint: [ratio: :never]],
             "--sync always --checkpoint-ratio 0 --segment-bytes 67108864 --lock-wait 1500"},
            {[sync: :always, checkpoint: [ratio: 1.0e-5]],
             "--sync always --checkpoint-ratio 0.00001 --segment-bytes 67108864 --lock-wait 1500"}
          ] do
        ["port", "--dir", ^dir | seen] =
          arguments([dir: dir, shutdown_timeout: 500] ++ options, tmp_dir)

        assert Enum.join(seen, " ") == expected
      end

      assert arguments([], tmp_dir) == ["port"]
    end

    test "tell what was acknowledged, until the store is stopped in order", %{tmp_dir: tmp_dir} do
      dir = Path.join(tmp_dir, "store")
      # Each daemon says three frames: hello, an answer with {seq, 7}, one more.
      daemon = fn -> daemon(tmp_dir, [[{:hello, durable_hello(5)}], [{:seq, 6}], [{:seq, 7}]]) end
      {:ok, store} = start(daemon.(), dir: dir)
      await(fn -> Directories.expected(dir) == {@store_id, 7} end)
      kill(store)
      assert Directories.known?(dir)

      assert "#{@hex}:7" == argument("--expect", [dir: dir], tmp_dir)
      # A start that fails does not forget, nor does an owner that is killed.
      assert "#{@hex}:7" == argument("--expect", [dir: dir], tmp_dir)
      {:ok, store} = start(daemon(tmp_dir, [[{:hello, durable_hello(9)}]]), dir: dir)
      Process.exit(store, :kill)
      assert_receive {:EXIT, ^store, :killed}
      assert "#{@hex}:9" == argument("--expect", [dir: dir], tmp_dir)

      {:ok, store} = start(daemon(tmp_dir, [[{:hello, durable_hello(9)}, {:seq, 10}]]), dir: dir)
      assert Directories.expected(dir) == {@store_id, 10}
      Rhizome.stop(store)
      assert argument("--expect", [dir: dir], tmp_dir) == nil
    end

    test "a daemon that had to be killed was not stopped in order", %{tmp_dir: tmp_dir} do
      dir = Path.join(tmp_dir, "store")
      path = frames_file(tmp_dir, [[{:hello, durable_hello(5)}]])
      stuck = script(tmp_dir, "cat #{path}; exec sleep 1000")
      {:ok, store} = start(stuck, dir: dir, shutdown_timeout: 100)
      log = capture_log(fn -> Rhizome.stop(store) end)
      assert log =~ "[warning]"
      assert log =~ "in #{dir}: the daemon had not ended within the :shutdown_timeout of 100 ms"
      assert Directories.expected(dir) == {@store_id, 5}
      Rhizome.Log.forget(dir)
      assert Directories.expected(dir) == nil
    end

    test "what was forgotten under a store at work is remembered anew", %{tmp_dir: tmp_dir} do
      dir = Path.join(tmp_dir, "store")
      go = Path.join(tmp_dir, "go")
      hello = frames_file(tmp_dir, [[{:hello, durable_hello(5)}]])
      more = frames_file(tmp_dir, [[{:seq, 6}]])
      wait = "while [ ! -e #{go} ]; do sleep 0.01; done"
      executable = script(tmp_dir, "cat #{hello}; #{wait}; cat #{more}; exec cat >/dev/null")
      {:ok, store} = start(executable, dir: dir)
      assert Directories.expected(dir) == {@store_id, 5}
      assert :ok = Rhizome.Log.forget(dir)
      assert Directories.expected(dir) == nil
      File.write!(go, "")
      await(fn -> Directories.expected(dir) == {@store_id, 6} end)
      kill(store)
      assert "#{@hex}:6" == argument("--expect", [dir: dir], tmp_dir)
    end
  end

  describe "recovery" do
    test "each report starts the time anew, and is told", %{tmp_dir: tmp_dir} do
      reports = for n <- 1..6, do: [{:recovering, %{done: n * 1_000_000, total: 6_000_000}}]
      path = frames_file(tmp_dir, reports ++ [[{:hello, durable_hello(5)}]])
      sizes = for frames <- reports, do: IO.iodata_length(frame(frames))
      # A report each 150 ms: together longer than the time for one.
      body =
        Enum.map_join(Enum.scan(sizes, 0, &+/2) |> Enum.zip(sizes), "\n", fn {upto, size} ->
          "head -c #{upto} #{path} | tail -c #{size}; sleep 0.15"
        end)

      executable =
        script(tmp_dir, body <> "\ntail -c +#{Enum.sum(sizes) + 1} #{path}; exec cat >/dev/null")

      options = [dir: Path.join(tmp_dir, "store"), start_timeout: 600, shutdown_timeout: 0]
      assert {:ok, store} = start(executable, options)
      Rhizome.stop(store)
    end

    test "silence is still too long", %{tmp_dir: tmp_dir} do
      path = frames_file(tmp_dir, [[{:recovering, %{done: 1, total: 2}}]])
      executable = script(tmp_dir, "cat #{path}; exec cat >/dev/null")
      options = [dir: Path.join(tmp_dir, "store"), start_timeout: 100]
      {time, result} = timed(fn -> start(executable, options) end)
      assert {:error, %Error{code: :start_failed, details: %{reason: :timeout}}} = result
      assert time < 3_000
    end

    test "a torn tail is a warning, and is in info", %{tmp_dir: tmp_dir} do
      torn = %{file: "log-0000000000000001.tlg", offset: 200, bytes: 31, seq: 5, saved: "torn/x"}

      recovered = %{
        checkpoint: 0,
        records: 5,
        bytes: 231,
        ms: 1,
        fresh: false,
        clean: false,
        torn: torn
      }

      hello = durable_hello(5, %{recovered: recovered})

      log =
        capture_log(fn ->
          {:ok, store} =
            start(daemon(tmp_dir, [[{:hello, hello}]]), dir: Path.join(tmp_dir, "store"))

          assert GenServer.call(store, :recovered) == {:ok, recovered}
          Rhizome.stop(store)
        end)

      assert log =~ "[warning]"
      assert log =~ "31 bytes behind mutation 5 (log-0000000000000001.tlg, offset 200)"
      assert log =~ "torn/x"
    end
  end

  describe "a store that is starting" do
    test "turns away who calls, at once", %{tmp_dir: tmp_dir} do
      name = __MODULE__.Starting
      dir = Path.join(tmp_dir, "store")
      go = Path.join(tmp_dir, "go")
      path = frames_file(tmp_dir, [[{:hello, durable_hello(5)}]])

      executable =
        script(
          tmp_dir,
          "while [ ! -e #{go} ]; do sleep 0.01; done; cat #{path}; exec cat >/dev/null"
        )

      task = Task.async(fn -> start_and_wait(executable, name: name, dir: dir) end)
      await(fn -> Process.whereis(name) != nil end)
      set = Rhizome.handle(name, :s, :set)

      for call <- [
            fn -> Rhizome.ping(name, timeout: :infinity) end,
            fn -> Rhizome.insert(set, 1, timeout: :infinity) end,
            fn -> Rhizome.Client.recovered(name) end
          ] do
        assert {:error, %Error{code: :stopped, message: message, details: details}} = call.()
        assert {message, details.outcome} == {"the store is starting; try again", :not_sent}
      end

      assert {:error, %Error{code: :bad_request}} = GenServer.call(name, :what)
      File.write!(go, "")
      assert {:ok, _store} = Task.await(task)
    end

    test "does not wait longer because of them", %{tmp_dir: tmp_dir} do
      name = __MODULE__.Silent
      executable = script(tmp_dir, "exec cat >/dev/null")
      task = Task.async(fn -> start_and_wait(executable, name: name, start_timeout: 200) end)
      await(fn -> Process.whereis(name) != nil end)
      {time, :down} = timed(fn -> call_until_down(name) end)
      assert time < 3_000
      assert {:error, %Error{details: %{reason: :timeout}}} = Task.await(task)
    end

    defp call_until_down(name) do
      if Process.whereis(name) do
        assert {:error, %Error{code: :stopped, details: %{outcome: :not_sent}}} =
                 Rhizome.ping(name)

        call_until_down(name)
      else
        :down
      end
    end

    test "turns them away while it waits for its turn", %{tmp_dir: tmp_dir} do
      name = __MODULE__.Waiting
      dir = Path.join(tmp_dir, "store")
      executable = daemon(tmp_dir, [[{:hello, durable_hello(5)}]])
      {:ok, store} = start(executable, dir: dir)
      kill(store)
      Directories.failed(dir)
      starting = spawn(fn -> start(executable, name: name, dir: dir) end)
      await(fn -> Process.whereis(name) != nil end)
      {time, result} = timed(fn -> Rhizome.ping(name) end)
      assert {:error, %Error{code: :stopped, details: %{outcome: :not_sent}}} = result
      assert time < 1_000
      Process.exit(starting, :shutdown)
    end

    test "and whoever comes when it has failed was not heard", %{tmp_dir: tmp_dir} do
      error = Error.new(:start_failed, "the disk is gone", %{reason: :io, dir: tmp_dir})

      for {call, store} <- for(call <- [:ping, :insert], do: {call, failing(error)}) do
        set = Rhizome.handle(store, :s, :set)
        result = if call == :ping, do: Rhizome.ping(store), else: Rhizome.insert(set, 1)
        assert {:error, %Error{code: :stopped} = error} = result
        assert error.message == "the store did not start: the disk is gone"
        assert error.details == %{outcome: :not_sent, reason: :io, dir: tmp_dir}
      end
    end

    # A process that ends as one whose init/1 has failed, on the first call.
    defp failing(error) do
      spawn(fn ->
        receive do
          {:"$gen_call", _from, _call} -> exit(error)
        end
      end)
    end

    # The store goes away with the task that has started it.
    defp start_and_wait(executable, options) do
      Process.flag(:trap_exit, true)
      start(executable, options)
    end
  end

  describe "a start that fails" do
    test "says why, and when the next one is", %{tmp_dir: tmp_dir} do
      dir = Path.join(tmp_dir, "store")
      failed = [{:failed, {:io, "the directory cannot be used", %{errno: :eio}}}]
      failing = daemon(tmp_dir, [failed], "exit 74")

      log = capture_log(fn -> start(failing, name: __MODULE__.Failing, dir: dir) end)
      assert log =~ "[error] Rhizome Rhizome.StartupTest.Failing in #{dir} did not start: "
      assert log =~ "the directory cannot be used"
      refute Enum.any?(String.split(log, "\n"), &(&1 =~ dir and &1 =~ "next start"))

      {:ok, store} = start(daemon(tmp_dir, [[{:hello, durable_hello(5)}]]), dir: dir)
      kill(store)
      log = capture_log(fn -> start(failing, dir: dir) end)
      assert log =~ ~r/the directory cannot be used. The next start is in (\d{4}) ms/
      Directories.forget_all(dir)

      log = capture_log(fn -> start(script(tmp_dir, "exit 70"), []) end)
      assert log =~ ~r/Rhizome #PID<[0-9.]+> did not start: the daemon exited with :internal/
    end

    test "asks what was started only where that is a question", %{tmp_dir: tmp_dir} do
      message = fn body, options ->
        {:error, %Error{code: :start_failed} = error} = start(script(tmp_dir, body), options)
        error.message
      end

      dir = Path.join(tmp_dir, "store")
      options = [dir: dir, start_timeout: 50, shutdown_timeout: 0]
      path = frames_file(tmp_dir, [[{:recovering, %{done: 1, total: 2}}]])
      question = "a Rhizome daemon?"

      assert message.("exit 0", options) =~ question
      assert message.("exec cat >/dev/null", start_timeout: 50) =~ question
      recovering = message.("cat #{path}; exec cat >/dev/null", options)
      assert recovering =~ "the daemon recovers #{dir}"
      refute recovering =~ question
      refute message.("cat #{path}; exit 0", options) =~ question
      refute message.("exit 70", options) =~ question
    end
  end

  describe "a daemon that fails because of its directory" do
    test "a locked one names the holder", %{tmp_dir: tmp_dir} do
      dir = Path.join(tmp_dir, "store")
      failed = [{:failed, {:locked, "another process holds the directory", %{os_pid: 4711}}}]
      assert {:error, error} = start(daemon(tmp_dir, [failed], "exit 75"), dir: dir)

      assert %Error{code: :start_failed, details: %{reason: :locked, os_pid: 4711, dir: ^dir}} =
               error

      assert error.message =~ "#{dir} is held by process 4711"

      assert {:error, error} = start(script(tmp_dir, "exit 75"), dir: dir)
      assert %Error{code: :start_failed, details: %{reason: :locked}} = error
    end

    test "a disk that fails is a reason", %{tmp_dir: tmp_dir} do
      dir = Path.join(tmp_dir, "store")

      for {code, details} <- [io: %{file: "LOCK", errno: :eacces}, log_full: %{}] do
        failed = [{:failed, {code, "it does not work", details}}]
        assert {:error, error} = start(daemon(tmp_dir, [failed], "exit 74"), dir: dir)
        assert %Error{code: :start_failed, details: %{reason: ^code}} = error
        assert Map.take(error.details, Map.keys(details)) == details
        assert error.message =~ "it does not work"
      end
    end

    test "a refused log leaves a store that says so, once in the log", %{tmp_dir: tmp_dir} do
      dir = Path.join(tmp_dir, "store")
      details = %{file: "log-0000000000000001.tlg", offset: 100, missing_from: 3, missing_to: 9}
      failed = [{:failed, {:log_refused, "the checksum of a payload is wrong", details}}]
      executable = daemon(tmp_dir, [failed], "exit 78")

      log =
        capture_log(fn ->
          {:ok, store} = start(executable, dir: dir)

          for _twice <- 1..2 do
            assert {:error, %Error{code: :log_refused} = error} = Rhizome.ping(store)
            assert Map.take(error.details, Map.keys(details)) == details
            assert error.details.outcome == :not_sent
            assert error.message =~ "checksum"
          end

          set = Rhizome.handle(store, :s, :set)
          assert {:error, %Error{code: :log_refused}} = Rhizome.insert(set, 1)
          assert_raise Error, ~r/log_refused/, fn -> Rhizome.info(store) end
          assert_raise Error, ~r/log_refused/, fn -> Rhizome.to_list(set) end
          assert Process.info(store, :links) == {:links, [self()]}
          assert Rhizome.stop(store) == :ok
        end)

      # Other tests log, too, at the same time: only this store's lines count.
      assert [line] = for(line <- String.split(log, "\n"), line =~ dir, do: line)
      assert line =~ "[error]"

      assert line =~
               "is not available: the log in #{dir} is refused: the checksum of a payload is wrong. "

      refute line =~ "%{"

      # So does an exit status alone.
      capture_log(fn ->
        {:ok, store} = start(script(tmp_dir, "exit 78"), dir: dir)
        assert {:error, %Error{code: :log_refused}} = Rhizome.ping(store)
        Rhizome.stop(store)
      end)
    end
  end

  describe "back-off" do
    test "is for a directory that another process holds, too", %{tmp_dir: tmp_dir} do
      dir = Path.join(tmp_dir, "store")
      {:ok, store} = start(daemon(tmp_dir, [[{:hello, durable_hello(5)}]]), dir: dir)
      kill(store)
      locked = script(tmp_dir, "exit 75")
      assert {:error, %Error{details: %{reason: :locked}}} = start(locked, dir: dir)
      assert Directories.back_off(dir) in 1_000..2_000
      Directories.forget_all(dir)
    end

    test "only a restart waits, longer each time, and a supervisor ends it", %{tmp_dir: tmp_dir} do
      dir = Path.join(tmp_dir, "store")
      failing = script(tmp_dir, "exit 74")
      for _twice <- 1..2, do: assert({:error, _error} = start(failing, dir: dir))
      assert Directories.back_off(dir) == 0

      {:ok, store} = start(daemon(tmp_dir, [[{:hello, durable_hello(5)}]]), dir: dir)
      kill(store)
      assert Directories.back_off(dir) == 0
      assert {:error, _error} = start(failing, dir: dir)
      assert Directories.back_off(dir) in 1_000..2_000

      supervisor = spawn(fn -> start(failing, dir: dir) end)
      await(fn -> links(supervisor) != [] end)
      [waiting] = links(supervisor)
      monitor = Process.monitor(waiting)
      Process.exit(supervisor, :shutdown)
      assert_receive {:DOWN, ^monitor, :process, ^waiting, :shutdown}, 900

      Directories.failed(dir)
      assert Directories.back_off(dir) in 3_000..4_000
      Rhizome.Log.forget(dir)
      assert Directories.back_off(dir) == 0
    end

    defp links(pid) do
      {:links, links} = Process.info(pid, :links)
      Enum.filter(links, &is_pid/1)
    end
  end

  test "events of a store at work are told, and change nothing", %{tmp_dir: tmp_dir} do
    events = [
      checkpointed: %{seq: 5, bytes: 100, ms: 3},
      checkpoint_failed: {:log_full, "there is no room", %{}},
      log: :full,
      log: :ok,
      weather: :fine
    ]

    log =
      capture_log(fn ->
        dir = Path.join(tmp_dir, "store")
        {:ok, store} = start(daemon(tmp_dir, [[{:hello, durable_hello(5)}], events]), dir: dir)
        await(fn -> match?({:messages, []}, Process.info(store, :messages)) end)
        Rhizome.stop(store)
      end)

    assert log =~ "could not write a checkpoint and goes on without: log_full: there is no room"
    assert log =~ "no room for the log"
    assert log =~ "there is room in"
  end

  ## Helpers

  defp start(executable, options) do
    Rhizome.start_link([executable: executable] ++ options)
  end

  # The words of a command line, from a daemon that only writes them down.
  defp arguments(options, tmp_dir) do
    seen = Path.join(tmp_dir, "arguments")
    executable = script(tmp_dir, "echo \"$@\" > #{seen}; exit 64")
    {:error, %Error{details: %{reason: :usage}}} = start(executable, options)

    seen |> File.read!() |> String.split()
  end

  defp argument(name, options, tmp_dir) do
    case options |> arguments(tmp_dir) |> Enum.drop_while(&(&1 != name)) do
      [^name, value | _rest] -> value
      [] -> nil
    end
  end

  defp durable_hello(seq, fields \\ %{}) do
    hello(Map.merge(%{seq: seq, store_id: @store_id, durable_seq: seq, recovered: :none}, fields))
  end

  # Says the frames, then does as told, or reads to the end.
  defp daemon(tmp_dir, frames, then \\ "exec cat >/dev/null") do
    script(tmp_dir, "cat #{frames_file(tmp_dir, frames)}; #{then}")
  end

  defp frames_file(tmp_dir, frames) do
    path = Path.join(tmp_dir, "frames-#{System.unique_integer([:positive])}")
    File.write!(path, Enum.map(frames, &frame/1))
    path
  end

  defp kill(store) do
    signal(daemon(store), "KILL")
    assert_receive {:EXIT, ^store, {:daemon_exit, {:signal, 9}}}
  end
end
