defmodule Rhizome.Case do
  @moduledoc false
  # What tests share: stores, daemons that misbehave, and facts about
  # processes of the operating system.

  use ExUnit.CaseTemplate

  alias Rhizome.{OsProcess, Protocol}

  using do
    quote do
      import Rhizome.Case
    end
  end

  # A supervised store of its own for one test. Sanitizers start slowly.
  def start_store(options \\ []) do
    options = Keyword.put_new(options, :start_timeout, 20_000)
    id = make_ref()
    ExUnit.Callbacks.start_supervised!(Supervisor.child_spec({Rhizome, options}, id: id))
  end

  # A table with these elements.
  def table(store, type, elements \\ []) do
    table = Rhizome.create_table!(store, {type, make_ref() |> :erlang.phash2()}, type)

    case type do
      :pom -> Rhizome.insert_rows!(table, elements)
      :graph -> Enum.into(elements, table)
      _other -> Rhizome.insert_all!(table, elements)
    end

    table
  end

  # The daemon of a store, as a process of the operating system.
  def daemon(store) do
    %{os_process: os_process} = :sys.get_state(store)
    os_process
  end

  def signal(%OsProcess{pid: pid}, name), do: signal(pid, name)

  # A stopped program is ended with the test, whatever becomes of the test: a
  # VM cannot halt while it has something to write to one.
  def signal(pid, name) do
    if name == "STOP" do
      process = OsProcess.new(pid)
      ExUnit.Callbacks.on_exit(fn -> OsProcess.kill(process) end)
    end

    {_output, 0} = System.cmd("/bin/sh", ["-c", "kill -s #{name} #{pid}"])
    :ok
  end

  # Waits for a fact that nobody announces.
  def await(fun, timeout \\ 5_000) do
    await_until(fun, System.monotonic_time(:millisecond) + timeout)
  end

  defp await_until(fun, deadline) do
    cond do
      fun.() ->
        true

      System.monotonic_time(:millisecond) > deadline ->
        ExUnit.Assertions.flunk("what was awaited did not happen in time")

      true ->
        Process.sleep(5)
        await_until(fun, deadline)
    end
  end

  # Milliseconds that `fun` takes, and its result.
  def timed(fun) do
    {microseconds, result} = :timer.tc(fun)
    {div(microseconds, 1000), result}
  end

  ## Daemons that misbehave: shell scripts

  def script(directory, body) do
    path = Path.join(directory, "daemon-#{System.unique_integer([:positive])}")
    File.write!(path, "#!/bin/sh\n" <> body <> "\n")
    File.chmod!(path, 0o755)
    path
  end

  # Reads everything and says nothing more than hello.
  def mute_daemon(directory, hello \\ %{}) do
    script(directory, "cat #{hello_file(directory, hello)}; exec cat >/dev/null")
  end

  # Says hello, never reads, and takes no notice of the end of its stdin.
  def stuck_daemon(directory) do
    script(directory, "cat #{hello_file(directory, %{})}; exec sleep 1000")
  end

  # Says what the file holds and reads.
  def saying(directory, bytes) do
    path = Path.join(directory, "says-#{System.unique_integer([:positive])}")
    File.write!(path, bytes)
    script(directory, "cat #{path}; exec cat >/dev/null")
  end

  def frame(term) do
    bytes = :erlang.term_to_binary(term)
    <<byte_size(bytes)::32, bytes::binary>>
  end

  def hello(fields) do
    Map.merge(
      %{
        protocol: Protocol.version(),
        version: "0.1.0",
        seq: 0,
        os_pid: 1,
        frame_bytes_max: 64 * 1024 * 1024
      },
      fields
    )
  end

  defp hello_file(directory, fields) do
    path = Path.join(directory, "hello-#{System.unique_integer([:positive])}")
    File.write!(path, frame([{:hello, hello(fields)}]))
    path
  end

  ## Another VM

  # Runs `code` in a VM of its own with this library; returns a port that sends
  # what the VM prints, line by line, and its exit status.
  def start_vm(code, arguments \\ []) do
    paths = Enum.flat_map(:code.get_path(), &["-pa", to_string(&1)])

    boot = """
    Process.flag(:trap_exit, true)
    {:ok, _} = Application.ensure_all_started(:rhizome)
    IO.puts("vm \#{System.pid()}")
    """

    vm =
      Port.open(
        {:spawn_executable, "/bin/sh"},
        [
          :binary,
          :exit_status,
          :hide,
          line: 1_000,
          # A daemon inherits stderr, and keeping that open would keep us waiting.
          args:
            ["-c", ~S(exec "$@" 2>/dev/null), "sh", System.find_executable("elixir")] ++
              arguments ++ paths ++ ["-e", boot <> code]
        ]
      )

    {:os_pid, os_pid} = Port.info(vm, :os_pid)
    process = OsProcess.new(os_pid)
    ExUnit.Callbacks.on_exit(fn -> OsProcess.kill(process) end)
    vm
  end

  # The rest of the next line that starts with `word`.
  def await_line(vm, word, timeout \\ 20_000) do
    receive do
      {^vm, {:data, {:eol, line}}} ->
        case String.split(line, " ", parts: 2) do
          [^word, rest] -> rest
          _other -> await_line(vm, word, timeout)
        end

      {^vm, {:exit_status, status}} ->
        ExUnit.Assertions.flunk("the VM exited with #{status} before it said #{word}")
    after
      timeout -> ExUnit.Assertions.flunk("the VM did not say #{word}")
    end
  end

  def await_exit(vm, timeout) do
    receive do
      {^vm, {:exit_status, status}} -> status
      {^vm, {:data, _line}} -> await_exit(vm, timeout)
    after
      timeout -> ExUnit.Assertions.flunk("the VM did not stop within #{timeout} ms")
    end
  end
end
