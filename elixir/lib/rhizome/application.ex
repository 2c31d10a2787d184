defmodule Rhizome.Application do
  @moduledoc false
  # What belongs to no single store: the reapers, and a table of the default
  # timeout of each store, which callers read without asking the owner.

  use Application

  @stores :rhizome_stores

  @impl true
  def start(_type, _args) do
    :ets.new(@stores, [:named_table, :public, :set, read_concurrency: true])

    Supervisor.start_link(
      [{DynamicSupervisor, name: Rhizome.ReaperSupervisor, strategy: :one_for_one}],
      strategy: :one_for_one,
      name: Rhizome.Supervisor
    )
  end

  @spec put_timeout(pid(), timeout()) :: true
  def put_timeout(store, timeout), do: :ets.insert(@stores, {store, timeout})

  @spec delete_timeout(pid()) :: true
  def delete_timeout(store), do: :ets.delete(@stores, store)

  # A store on another node is not in the table.
  @spec timeout(GenServer.server()) :: timeout()
  def timeout(store) do
    :ets.lookup_element(@stores, store, 2)
  rescue
    ArgumentError -> 5_000
  end
end
