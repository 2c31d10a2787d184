defmodule Rhizome.Application do
  @moduledoc false
  # What belongs to no single store: the supervisor of the reapers, and what is
  # remembered of directories.

  use Application

  @impl true
  def start(_type, _args) do
    # The end of a script halts the VM, and nothing is stopped in order.
    System.at_exit(fn _status -> Rhizome.Reaper.before_halt() end)

    Supervisor.start_link(
      [
        Rhizome.Directories,
        {DynamicSupervisor, name: Rhizome.ReaperSupervisor, strategy: :one_for_one}
      ],
      strategy: :one_for_one,
      name: Rhizome.Supervisor
    )
  end
end
