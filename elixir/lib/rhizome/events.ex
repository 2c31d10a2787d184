defmodule Rhizome.Events do
  @moduledoc false
  # What the daemon says without being asked, as section 1 of PROTOCOL.md lists it.
  # Some of it is for the log and telemetry, some for the process that it concerns.
  # Of the owner's state it takes what a clause names.

  require Logger

  alias Rhizome.{Directories, Error, Pending, Telemetry}

  @spec hear(atom(), term(), map()) :: term()
  def hear(:seq, seq, %{entry: entry}) when entry != nil do
    Directories.acknowledged(entry, seq)
  end

  def hear(:checkpointed, %{seq: seq, bytes: bytes, ms: ms}, state) do
    Telemetry.execute(
      [:rhizome, :checkpoint, :stop],
      %{duration: System.convert_time_unit(ms, :millisecond, :native), bytes: bytes},
      %{store: state.store, dir: state.dir, seq: seq}
    )
  end

  def hear(:checkpoint_failed, {code, message, details}, state) do
    error = Error.new(code, message, details)

    Telemetry.execute(
      [:rhizome, :checkpoint, :failed],
      %{system_time: System.system_time()},
      %{store: state.store, dir: state.dir, error: error}
    )

    Logger.warning(
      "Rhizome #{inspect(state.store)} in #{state.dir} could not write a checkpoint and goes on " <>
        "without: #{Exception.message(error)}"
    )
  end

  def hear(:log, status, state) when status in [:full, :ok] do
    Telemetry.execute(
      [:rhizome, :log, status],
      %{system_time: System.system_time()},
      %{store: state.store, dir: state.dir}
    )

    if status == :full do
      Logger.error(
        "Rhizome #{inspect(state.store)}: there is no room for the log in #{state.dir}. " <>
          "Mutations fail with :log_full until there is; reads go on"
      )
    else
      Logger.info("Rhizome #{inspect(state.store)}: there is room in #{state.dir} again")
    end
  end

  def hear(name, {{holder, _number} = subscription, value}, state)
      when name in [:changes, :overflow] do
    with {:ok, pid} <- Map.fetch(state.holder_pids, holder) do
      send(pid, {:rhizome_feed, subscription, {name, value}})
    end
  end

  # Of a run that asked for it; Rhizome.Client waits for it beside the answer.
  def hear(:progress, {id, done, total}, _state) do
    with pid when is_pid(pid) <- Pending.caller(id) do
      send(pid, {:rhizome_progress, self(), id, done, total})
    end
  end

  # Others are for clients that know them.
  def hear(_name, _term, _state), do: :ok
end
