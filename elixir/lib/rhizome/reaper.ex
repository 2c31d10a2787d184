defmodule Rhizome.Reaper do
  @moduledoc false
  # Sees to it that a daemon does not outlive its owner.
  #
  # Usually there is nothing to do: a daemon whose stdin ends exits by itself.
  # But one that does not read (stopped by a signal, stuck) never sees the end,
  # and if bytes wait in its port's queue then the port stays "closing" and the
  # VM's own shutdown waits for it without a limit. Only killing the daemon ends
  # that, and it must happen whichever way the owner ended, `:kill` included.
  #
  # So each daemon has a reaper, started by the owner right behind the port,
  # under a supervisor of this application and not of the owner: it survives
  # the owner and is itself stopped in an orderly way when the VM stops. Where
  # it halts instead, at the end of a script, before_halt/0 comes first.

  use GenServer, restart: :temporary

  alias Rhizome.OsProcess

  # How long a killed process may take to disappear before we give up on it.
  @kill_timeout 2_000

  # Nothing announces that a queue has become empty.
  @look_every 5

  @spec start(pid(), port(), OsProcess.t(), non_neg_integer()) :: {:ok, pid()}
  def start(owner, port, os_process, grace) do
    args = {owner, port, os_process, grace}
    child = Supervisor.child_spec({__MODULE__, args}, shutdown: grace + 5_000)

    DynamicSupervisor.start_child(Rhizome.ReaperSupervisor, child)
  end

  @doc false
  def start_link(args), do: GenServer.start_link(__MODULE__, args)

  # The owner has closed its port: returns when the daemon is gone, which
  # takes `grace` milliseconds and a kill at most, and tells which it was.
  @spec reap(pid(), non_neg_integer()) :: :exited | :killed
  def reap(reaper, grace) do
    GenServer.call(reaper, {:reap, grace}, grace + 2 * @kill_timeout)
  catch
    :exit, _reason -> :killed
  end

  # The VM is about to halt, which stops nothing in order and waits for the
  # queues of all ports: returns when no daemon is left that would make it wait
  # for ever. Stores and daemons that keep up are left alone: those daemons exit
  # by themselves, and a store that dies now would be news in the log.
  @spec before_halt() :: :ok
  def before_halt do
    asked =
      for {_id, reaper, _type, _modules} <- children(), is_pid(reaper) do
        send(reaper, {:before_halt, self()})
        {reaper, Process.monitor(reaper)}
      end

    for {reaper, monitor} <- asked do
      receive do
        {:unblocked, ^reaper} -> :ok
        {:DOWN, ^monitor, :process, ^reaper, _reason} -> :ok
      end
    end

    :ok
  end

  defp children do
    DynamicSupervisor.which_children(Rhizome.ReaperSupervisor)
  catch
    :exit, _not_running -> []
  end

  @impl true
  def init({owner, port, os_process, grace}) do
    Process.flag(:trap_exit, true)
    Process.monitor(owner)
    {:ok, %{owner: owner, port: port, os_process: os_process, grace: grace}}
  end

  @impl true
  def handle_call({:reap, grace}, _from, state) do
    {:stop, :normal, finish(state.os_process, grace), state}
  end

  @impl true
  def handle_info({:DOWN, _monitor, :process, owner, _reason}, %{owner: owner} = state) do
    finish(state.os_process, state.grace)
    {:stop, :normal, state}
  end

  def handle_info({:before_halt, from}, state) do
    with :timeout <- await_flushed(state.port, deadline(state.grace)) do
      OsProcess.kill(state.os_process)
      OsProcess.await_exit(state.os_process, @kill_timeout)
    end

    send(from, {:unblocked, self()})
    {:noreply, state}
  end

  def handle_info(_message, state), do: {:noreply, state}

  # The VM stops and the owner is in no application's tree, or this one is
  # stopped beneath it: nobody is left who could.
  @impl true
  def terminate(:normal, _state), do: :ok

  def terminate(_reason, state) do
    Process.exit(state.owner, :shutdown)
    finish(state.os_process, state.grace)
  end

  # A port that is closed and not flushed is not seen any more, so that one
  # takes what finish/2 does; its owner's end is in the mailbox then.
  defp await_flushed(port, deadline) do
    case Port.info(port, :queue_size) do
      {:queue_size, 0} ->
        :ok

      nil ->
        :timeout

      {:queue_size, _bytes} ->
        if System.monotonic_time(:millisecond) >= deadline do
          :timeout
        else
          Process.sleep(@look_every)
          await_flushed(port, deadline)
        end
    end
  end

  defp deadline(grace), do: System.monotonic_time(:millisecond) + grace

  defp finish(os_process, grace) do
    case OsProcess.await_exit(os_process, grace) do
      :ok ->
        :exited

      :timeout ->
        OsProcess.kill(os_process)
        OsProcess.await_exit(os_process, @kill_timeout)
        :killed
    end
  end
end
