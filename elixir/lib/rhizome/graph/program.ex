defmodule Rhizome.Graph.Program do
  @moduledoc false
  # `rhizome import` or `rhizome export` at work for one process, its caller.
  #
  #     import    program --- pipe with a name ---> caller
  #     export    caller ---> this process --- pipe with a name ---> program
  #
  # Frames go through a pipe with a name, and not through the port: so the program waits
  # for us where we are slower, and we for it, and its stdin has an end. For a program
  # that writes a file this end says that it is complete. Therefore it is this process that
  # has the pipe open then: if the caller dies it first ends the program, and the file
  # never appears.
  #
  # Port and messages are here, so that the caller has none of either; and the pipe and its
  # directory go whichever way the caller ends. It is a child of Rhizome.ReaperSupervisor,
  # and so goes in order when the VM stops, and answers Rhizome.Reaper.before_halt/0.

  use GenServer, restart: :temporary

  alias Rhizome.OsProcess

  # What messages of the program are kept.
  @said_bytes 8_192

  # How long a program may take to end when it is told to, and to disappear when killed.
  @term_timeout 1_000
  @kill_timeout 2_000

  @spec start(Path.t(), [String.t()], :read | :write) :: {:ok, pid(), Path.t()}
  def start(executable, arguments, mode) do
    child = {__MODULE__, {self(), executable, arguments, mode}}
    {:ok, program} = DynamicSupervisor.start_child(Rhizome.ReaperSupervisor, child)
    {:ok, program, GenServer.call(program, :pipe, :infinity)}
  end

  @doc false
  def start_link(argument), do: GenServer.start_link(__MODULE__, argument)

  # Blocks while the program is slower.
  @spec write(pid(), iodata()) :: :ok | {:error, atom()}
  def write(program, bytes), do: GenServer.call(program, {:write, bytes}, :infinity)

  # Its input ends here. Returns when it has ended: its exit status, and the last that it
  # has said.
  @spec finish(pid()) :: {non_neg_integer(), String.t()}
  def finish(program), do: GenServer.call(program, :finish, :infinity)

  # Ends it as it is, before its input does.
  @spec abort(pid()) :: :ok
  def abort(program), do: GenServer.call(program, :abort, :infinity)

  @impl true
  def init({caller, executable, arguments, mode}) do
    Process.flag(:trap_exit, true)
    Process.monitor(caller)
    unique = System.unique_integer([:positive])
    directory = Path.join(System.tmp_dir!(), "rhizome-#{System.pid()}-#{unique}")
    File.mkdir_p!(directory)
    pipe = Path.join(directory, "pipe")
    {_output, 0} = System.cmd("mkfifo", ["-m", "600", pipe])
    redirection = if mode == :read, do: ~S(>"$0" 2>&3), else: ~S(<"$0")

    port =
      Port.open({:spawn_executable, "/bin/sh"}, [
        :binary,
        :exit_status,
        :stderr_to_stdout,
        :hide,
        args: ["-c", ~s(exec 3>&1; exec "$@" #{redirection}), pipe, executable | arguments]
      ])

    state = %{
      caller: caller,
      directory: directory,
      pipe: pipe,
      port: port,
      os_process: os_process(port),
      file: nil,
      said: "",
      status: nil,
      waiting: nil
    }

    {:ok, state, {:continue, mode}}
  end

  # The shell opens its end before anything else, so this does not take long.
  @impl true
  def handle_continue(:write, state) do
    {:ok, file} = :file.open(state.pipe, [:write, :raw, :binary])
    {:noreply, %{state | file: file}}
  end

  def handle_continue(:read, state), do: {:noreply, state}

  @impl true
  def handle_call(:pipe, _from, state), do: {:reply, state.pipe, state}

  def handle_call({:write, bytes}, _from, state) do
    {:reply, :file.write(state.file, bytes), state}
  end

  def handle_call(:finish, from, state) do
    if state.file, do: :file.close(state.file)
    ended(%{state | file: nil, waiting: from})
  end

  def handle_call(:abort, _from, state) do
    kill(state)
    {:stop, :normal, :ok, state}
  end

  @impl true
  def handle_info({port, {:data, bytes}}, %{port: port} = state) do
    {:noreply, %{state | said: keep(state.said <> bytes)}}
  end

  def handle_info({port, {:exit_status, status}}, %{port: port} = state) do
    ended(%{state | status: status})
  end

  def handle_info({:DOWN, _monitor, :process, caller, _reason}, %{caller: caller} = state) do
    kill(state)
    {:stop, :normal, state}
  end

  # A script ends, and this with it.
  def handle_info({:before_halt, from}, state) do
    kill(state)
    File.rm_rf!(state.directory)
    send(from, {:unblocked, self()})
    {:stop, :normal, state}
  end

  def handle_info(_message, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state) do
    if state.status == nil, do: kill(state)
    File.rm_rf!(state.directory)
  end

  defp ended(%{status: status, waiting: from} = state) when status != nil and from != nil do
    File.rm_rf!(state.directory)
    GenServer.reply(from, {status, state.said})
    {:stop, :normal, state}
  end

  defp ended(state), do: {:noreply, state}

  defp keep(said) when byte_size(said) <= @said_bytes, do: said
  defp keep(said), do: binary_part(said, byte_size(said), -@said_bytes)

  defp os_process(port) do
    case Port.info(port, :os_pid) do
      {:os_pid, os_pid} -> OsProcess.new(os_pid)
      nil -> nil
    end
  end

  defp kill(%{os_process: nil}), do: :ok
  defp kill(%{status: status}) when status != nil, do: :ok

  # One that is told to end takes its unfinished file along.
  defp kill(%{os_process: os_process}) do
    if OsProcess.alive?(os_process) do
      System.cmd("/bin/sh", ["-c", ~S(kill -s TERM "$1" 2>/dev/null), "sh", "#{os_process.pid}"])
    end

    with :timeout <- OsProcess.await_exit(os_process, @term_timeout) do
      OsProcess.kill(os_process)
      OsProcess.await_exit(os_process, @kill_timeout)
    end
  end
end
