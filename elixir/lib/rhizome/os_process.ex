defmodule Rhizome.OsProcess do
  @moduledoc false
  # A process of the operating system, known well enough not to mistake
  # another one for it: on Linux by its id and the time at which it started, as
  # ids are given out again. Where there is no /proc the id has to do.

  @enforce_keys [:pid]
  defstruct [:pid, :started]

  @type t :: %__MODULE__{pid: pos_integer(), started: String.t() | nil}

  @spec new(pos_integer()) :: t()
  def new(pid) do
    case stat(pid) do
      {_state, started} -> %__MODULE__{pid: pid, started: started}
      nil -> %__MODULE__{pid: pid}
    end
  end

  # False once it has exited, even while nobody has asked for its status.
  @spec alive?(t()) :: boolean()
  def alive?(%__MODULE__{pid: pid, started: nil}) do
    case :os.type() do
      {:unix, :linux} -> false
      _other -> signal(pid, "0") == :ok
    end
  end

  def alive?(%__MODULE__{pid: pid, started: started}) do
    case stat(pid) do
      {state, ^started} -> state not in ["Z", "X"]
      _gone_or_another -> false
    end
  end

  @spec kill(t()) :: :ok
  def kill(%__MODULE__{} = process) do
    if alive?(process), do: signal(process.pid, "KILL")
    :ok
  end

  # Waits until the process is gone, `timeout` milliseconds at most. Nothing
  # announces the end of a process whose port is closed, so this looks, more
  # and more seldom.
  @spec await_exit(t(), non_neg_integer()) :: :ok | :timeout
  def await_exit(process, timeout) do
    await_exit(process, System.monotonic_time(:millisecond) + timeout, 1)
  end

  defp await_exit(process, deadline, pause) do
    cond do
      not alive?(process) ->
        :ok

      System.monotonic_time(:millisecond) >= deadline ->
        :timeout

      true ->
        Process.sleep(pause)
        await_exit(process, deadline, min(pause * 2, 50))
    end
  end

  # The shell's own kill: the program of that name is not on every machine.
  defp signal(pid, name) do
    case System.cmd("/bin/sh", ["-c", ~S(kill -s "$1" "$2" 2>/dev/null), "sh", name, "#{pid}"]) do
      {_output, 0} -> :ok
      {_output, _status} -> :error
    end
  end

  # State and start time: fields 3 and 22 of proc(5), counted behind the name,
  # which may hold anything.
  defp stat(pid) do
    with {:ok, text} <- File.read("/proc/#{pid}/stat") do
      fields = text |> String.split(")") |> List.last() |> String.split()
      {Enum.at(fields, 0), Enum.at(fields, 19)}
    else
      {:error, _reason} -> nil
    end
  end
end
