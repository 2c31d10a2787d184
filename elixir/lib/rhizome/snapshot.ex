defmodule Rhizome.Snapshot do
  @moduledoc """
  The whole store as it was at one seq, read-only.

  `Rhizome.snapshot/2` takes one in a time that does not depend on how much the
  store holds, and nothing is copied then: the daemon keeps aside what later
  mutations replace, until the snapshot is released. It stands wherever a store
  is expected by a function that reads:

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.insert_all!(owns, [{:ann, :sword}, {:ann, :bow}])
      iex> {:ok, before} = Rhizome.snapshot(store)
      iex> Rhizome.put!(owns, :bob, :sword)
      iex> Enum.to_list(Rhizome.on(owns, before))
      [ann: :bow, ann: :sword]
      iex> Rhizome.get(Rhizome.bwd(owns), :sword, :nobody, at: before)
      :ann
      iex> Enum.to_list(owns)
      [ann: :bow, bob: :sword]
      iex> Rhizome.release(before)
      :ok

  All tables are seen as of the same moment, and what is read in many requests, as by
  a stream, is one state.

  ## How long it lives

  Until one of these comes about; what it is asked then fails with `:no_snapshot`.

    * It is released: by `Rhizome.release/1`, or at the end of
      `Rhizome.with_snapshot/3`.
    * The process that took it dies. Others may use it until then.
    * It reaches the store's `:max_snapshot_age`.
    * The store is restarted. A snapshot is nothing that is on the disk.

  As many snapshots and forks as `:max_snapshots` may be open at a time;
  `Rhizome.info/2` lists them with their age and the memory that they hold.

  ## Fields

    * `:store` - the store, as it was named when the snapshot was taken
    * `:seq` - the seq as of which the store is seen

  The others are internal.
  """

  alias Rhizome.{Client, Options, Version}

  @enforce_keys [:store, :owner, :name, :seq]
  defstruct [:store, :owner, :name, :seq]

  @type t :: %__MODULE__{
          store: GenServer.server(),
          owner: pid(),
          name: Client.name(),
          seq: non_neg_integer()
        }

  @doc false
  def take(store, options) do
    timeout = Options.validate!(options, :call)[:timeout]

    with {:ok, seq, {owner, name}} <- Version.open(store, &{:snapshot, &1}, timeout) do
      {:ok, %__MODULE__{store: store, owner: owner, name: name, seq: seq}}
    end
  end

  defimpl Inspect do
    def inspect(snapshot, _options) do
      "#Rhizome.Snapshot<#{Kernel.inspect(snapshot.store)} at seq #{snapshot.seq}>"
    end
  end
end
