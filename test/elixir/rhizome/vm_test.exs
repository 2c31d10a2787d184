defmodule Rhizome.VmTest do
  # A VM that ends, in every way in which one can, leaves no daemon behind, is
  # not kept from ending by one, and loses nothing that was acknowledged.
  use Rhizome.Case, async: true

  alias Rhizome.OsProcess

  # A supervised store of an application's kind, its daemon stopped and a
  # frame in the port's queue that is larger than any pipe.
  @stuck """
  {:ok, _} = Supervisor.start_link([{Rhizome, name: S, shutdown_timeout: 300}], strategy: :one_for_one)
  set = Rhizome.create_table!(S, :s, :set)
  os_pid = Rhizome.info(S).os_pid
  System.cmd("/bin/sh", ["-c", "kill -s STOP \#{os_pid}"])
  spawn(fn -> Rhizome.insert(set, String.duplicate("x", 4_000_000), timeout: :infinity) end)
  Process.sleep(100)
  IO.puts("daemon \#{os_pid}")
  """

  @idle """
  {:ok, _} = Rhizome.start_link(name: S)
  IO.puts("daemon \#{Rhizome.info(S).os_pid}")
  """

  @wait "Process.sleep(:infinity)\n"

  test "kill -9: the daemon sees the end of its stdin" do
    {_vm, os_pid, daemon} = start(@idle <> @wait)
    signal(os_pid, "KILL")
    assert_gone(daemon)
  end

  test "System.stop: the store is stopped in an orderly way" do
    {vm, _os_pid, daemon} = start(@idle <> "System.stop(0)\n" <> @wait)
    assert await_exit(vm, 10_000) == 0
    assert_gone(daemon)
  end

  test "System.halt with nothing in flight" do
    {vm, _os_pid, daemon} = start(@idle <> "System.halt(3)\n")
    assert await_exit(vm, 10_000) == 3
    assert_gone(daemon)
  end

  test "System.halt while a stopped daemon has small requests to read" do
    code = """
    os_pid = Rhizome.info(S).os_pid
    System.cmd("/bin/sh", ["-c", "kill -s STOP \#{os_pid}"])
    for _n <- 1..5_000, do: spawn(fn -> Rhizome.ping(S) end)
    Process.sleep(200)
    System.halt(0)
    """

    {vm, _os_pid, daemon} = start(@idle <> code)
    assert await_exit(vm, 10_000) == 0
    # Nobody is left to kill a daemon that is stopped; it sees the end when
    # it goes on.
    signal(daemon, "CONT")
    assert_gone(daemon)
  end

  for {how, code, status} <- [
        {"the end of a script", ":ok", 0},
        {"an uncaught error", "raise \"uncaught\"", 1}
      ] do
    test "#{how} with a full queue and a stopped daemon: no hang, no orphan" do
      {vm, _os_pid, daemon} = start(@stuck <> unquote(code))
      assert await_exit(vm, 10_000) == unquote(status)
      assert_gone(daemon)
    end
  end

  test "the end of a script when the owner was killed before" do
    {vm, _os_pid, daemon} = start(@stuck <> "Process.exit(Process.whereis(S), :kill)\n")
    assert await_exit(vm, 10_000) == 0
    assert_gone(daemon)
  end

  test "the end of a script takes no time and says nothing when all is well" do
    {vm, _os_pid, daemon} = start(@idle <> "IO.puts(\"now \#{System.os_time(:millisecond)}\")")
    before = vm |> await_line("now") |> String.to_integer()
    assert await_exit(vm, 10_000) == 0
    assert System.os_time(:millisecond) - before < 3_000
    assert_gone(daemon)
  end

  test "System.stop with a full queue and a stopped daemon: no hang, no orphan" do
    {vm, _os_pid, daemon} = start(@stuck <> "System.stop(0)\n" <> @wait)
    assert await_exit(vm, 10_000) == 0
    assert_gone(daemon)
  end

  test "the same when the owner was killed before" do
    code = @stuck <> "Process.exit(Process.whereis(S), :kill)\nSystem.stop(0)\n" <> @wait
    {vm, _os_pid, daemon} = start(code)
    assert await_exit(vm, 10_000) == 0
    assert_gone(daemon)
  end

  test "SIGTERM to the VM" do
    {vm, os_pid, daemon} = start(@stuck <> @wait)
    signal(os_pid, "TERM")
    assert await_exit(vm, 10_000) == 0
    assert_gone(daemon)
  end

  describe "a store on the disk that is written to all the time" do
    @describetag :tmp_dir

    for {how, sync, finish} <- [
          {"kill -9 of the VM", ":always", {:kill, :vm}},
          {"kill -9 of the VM, in intervals", "{:interval, 10}", {:kill, :vm}},
          {"kill -9 of the VM, without a sync", ":none", {:kill, :vm}},
          {"kill -9 of the VM and the daemon", ":none", {:kill, :both}},
          {"System.halt", ":none", {:say, "System.halt(0)"}},
          {"System.stop", ":none", {:say, "System.stop(0)"}},
          {"the end of the process that holds it", ":none",
           {:say, "Process.exit(Process.whereis(S), :kill)"}}
        ] do
      test "#{how}: what was acknowledged is there", %{tmp_dir: tmp_dir} do
        dir = Path.join(tmp_dir, "store")
        {action, what} = unquote(finish)
        last = if action == :say, do: what, else: ":ok"

        code = """
        {:ok, _} = Supervisor.start_link([{Rhizome, name: S, dir: #{inspect(dir)}, sync: #{unquote(sync)}}], strategy: :one_for_one)
        counts = Rhizome.create_table!(S, :counts, :to_one)
        IO.puts("daemon \#{Rhizome.info(S).os_pid}")

        for caller <- 1..4 do
          spawn(fn ->
            for n <- Stream.iterate(1, &(&1 + 1)) do
              with {:ok, _change} <- Rhizome.put(counts, caller, n), do: IO.puts("done \#{caller} \#{n}")
              if {caller, n} == {1, 200}, do: #{last}
            end
          end)
        end

        Process.sleep(#{if action == :say and what =~ "exit", do: 1_000, else: ":infinity"})
        """

        {vm, os_pid, daemon} = start(code)

        kill = fn ->
          if what == :both, do: signal(daemon, "KILL")
          signal(os_pid, "KILL")
        end

        done = done(vm, %{}, if(action == :kill, do: {300, kill}))
        assert map_size(done) == 4

        # The lock is free when the daemon has seen the end of its stdin.
        {:ok, store} = Rhizome.start_link(dir: dir, start_timeout: 20_000)
        found = store |> Rhizome.handle(:counts, :to_one) |> Map.new()
        for {caller, n} <- done, do: assert(found[caller] >= n)
        Rhizome.stop(store)
      end
    end

    # What the VM said it had been answered, until nothing more comes. After
    # so many answers something is done to it.
    defp done(vm, done, {0, action}) do
      action.()
      done(vm, done, nil)
    end

    defp done(vm, done, countdown) do
      receive do
        {^vm, {:data, {:eol, "done " <> line}}} ->
          [caller, n] = line |> String.split() |> Enum.map(&String.to_integer/1)

          done(
            vm,
            Map.put(done, caller, n),
            with({left, action} <- countdown, do: {left - 1, action})
          )

        {^vm, {:data, _other}} ->
          done(vm, done, countdown)

        {^vm, {:exit_status, _status}} ->
          done
      after
        20_000 -> flunk("the VM did not end")
      end
    end
  end

  defp start(code) do
    vm = start_vm(code)
    os_pid = vm |> await_line("vm") |> String.to_integer()
    daemon = vm |> await_line("daemon") |> String.to_integer() |> OsProcess.new()
    on_exit(fn -> OsProcess.kill(daemon) end)
    {vm, os_pid, daemon}
  end

  defp assert_gone(daemon), do: await(fn -> not OsProcess.alive?(daemon) end, 5_000)
end
