defmodule Rhizome.OsProcessTest do
  use Rhizome.Case, async: true

  alias Rhizome.OsProcess

  test "is alive until it has exited, and can be killed" do
    port =
      Port.open({:spawn_executable, "/bin/sh"}, [:exit_status, args: ["-c", "exec sleep 1000"]])

    {:os_pid, os_pid} = Port.info(port, :os_pid)
    process = OsProcess.new(os_pid)
    assert OsProcess.alive?(process)
    assert OsProcess.await_exit(process, 20) == :timeout
    assert OsProcess.kill(process) == :ok
    assert OsProcess.await_exit(process, 5_000) == :ok
    refute OsProcess.alive?(process)
    assert OsProcess.kill(process) == :ok
  end

  test "another process of the same id is not taken for it" do
    {os_pid, ""} = Integer.parse(System.pid())
    process = OsProcess.new(os_pid)
    assert OsProcess.alive?(process)

    if process.started do
      refute OsProcess.alive?(%{process | started: "1"})
      assert OsProcess.kill(%{process | started: "1"}) == :ok
    end
  end
end
