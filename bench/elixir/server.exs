defmodule Bench.Server do
  # Another program that serves while a benchmark runs, and ends with it: also when
  # the VM is killed, for what stands between them sees its input end then.

  @script ~S"""
  sh -c 'echo "pid $$"; exec "$@"' sh "$@" </dev/null &
  pid=$!
  read -r _until_the_end
  kill -INT $pid
  (sleep 10; kill -TERM $pid) >/dev/null 2>&1 &
  patience=$!
  wait $pid
  kill $patience
  """

  # Waits until `ready?` says true, for 20 seconds.
  def start!(command, ready?) do
    port =
      Port.open({:spawn_executable, "/bin/sh"}, [
        :binary,
        :exit_status,
        :stderr_to_stdout,
        args: ["-c", @script, "sh" | command]
      ])

    receive do
      {^port, {:data, "pid " <> line}} ->
        {os_pid, _rest} = Integer.parse(line)
        server = %{port: port, os_pid: os_pid}
        await(server, ready?, 400)
        server
    end
  end

  defp await(server, ready?, tries) do
    cond do
      ready?.() ->
        :ok

      tries == 0 or Port.info(server.port) == nil ->
        raise "it does not start: #{said(server.port)}"

      true ->
        Process.sleep(50)
        await(server, ready?, tries - 1)
    end
  end

  def stop(%{port: port}) do
    Port.command(port, "end\n")
    await_exit(port)
  end

  defp await_exit(port) do
    receive do
      {^port, {:exit_status, _status}} -> :ok
      {^port, {:data, _line}} -> await_exit(port)
    end
  end

  defp said(port) do
    receive do
      {^port, {:data, line}} -> line <> said(port)
    after
      0 -> ""
    end
  end

  # Resident bytes of the process and of those that it has started.
  def resident(os_pid) do
    children =
      case File.read("/proc/#{os_pid}/task/#{os_pid}/children") do
        {:ok, children} -> String.split(children)
        {:error, _reason} -> []
      end

    Enum.sum(for pid <- [os_pid | children], do: Bench.resident(pid))
  end

  # A directory below TMPDIR; whoever asks deletes it.
  def new_directory do
    name = "rhizome-bench-#{System.pid()}-#{System.unique_integer([:positive])}"
    path = Path.join(System.tmp_dir!(), name)
    File.mkdir_p!(path)
    path
  end

  # A port of this machine that nobody listens at.
  def free_port do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1}, reuseaddr: true)
    {:ok, number} = :inet.port(socket)
    :ok = :gen_tcp.close(socket)
    number
  end
end
