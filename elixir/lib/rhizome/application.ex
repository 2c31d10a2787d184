defmodule Rhizome.Application do
  @moduledoc false
  # What belongs to no single store: the supervisor of the reapers.

  use Application

  @impl true
  def start(_type, _args) do
    Supervisor.start_link(
      [{DynamicSupervisor, name: Rhizome.ReaperSupervisor, strategy: :one_for_one}],
      strategy: :one_for_one,
      name: Rhizome.Supervisor
    )
  end
end
