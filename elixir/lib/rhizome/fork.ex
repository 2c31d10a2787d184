defmodule Rhizome.Fork do
  @moduledoc """
  A private copy of the whole store that can be written to.

  `Rhizome.fork/2` makes one in a time that does not depend on how much the store
  holds: it shares everything with the store until one of the two changes it. It
  stands wherever a store is expected, and all functions that read and mutate
  tables work on it. Nobody else sees what is done there, and nothing of it is
  logged. `Rhizome.commit/2` carries it over to the store, and `Rhizome.discard/1`
  throws it away:

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.put!(owns, :ann, :sword)
      iex> {:ok, fork} = Rhizome.fork(store)
      iex> what_if = Rhizome.on(owns, fork)
      iex> Rhizome.put!(what_if, :bob, :sword).evicted
      [ann: :sword]
      iex> {Enum.to_list(what_if), Enum.to_list(owns)}
      {[bob: :sword], [ann: :sword]}
      iex> {:ok, _seq} = Rhizome.commit(fork)
      iex> Enum.to_list(owns)
      [bob: :sword]

  ## Committing

  A commit is one mutation of the store: it takes one seq and one record of the log,
  and all of the fork's changes or none are carried over. It succeeds if what
  the fork has *read* is still so in the store: the keys that were looked up, the
  ranges that were listed or counted, and what inserts looked at to know what
  they evict. Then whatever was concluded from it is true, and the outcome is as
  if everything had been done at the moment of the commit. Otherwise the answer
  is `:conflict`; the `:table` and the `:key` that were changed are in its details
  where one of each can be told, and may be missing. The fork is gone in both cases. A
  fork that has written nothing commits without a conflict, and takes no seq.

  To be able to look, the daemon notes what a fork is asked: its reads and its writes, as
  they were sent, and not what they answer. A fork has room for 64 MiB of them. One that
  was asked more can be read and written on, and its commit fails with `:too_big`.

  `Rhizome.transaction/3` does all of this, and tries again when there was a
  conflict.

  ## How long it lives

  As a snapshot does (`Rhizome.Snapshot`): until it is committed or discarded, its
  process dies, it reaches the store's `:max_snapshot_age`, or the store is
  restarted. A fork of a snapshot begins as that is; one of a fork cannot be
  made.

  ## Fields

    * `:store` - the store, as it was named when the fork was made
    * `:seq` - the seq as of which it began

  The others are internal.
  """

  alias Rhizome.{Client, Options, Snapshot, Version}

  @enforce_keys [:store, :owner, :name, :seq]
  defstruct [:store, :owner, :name, :seq]

  @type t :: %__MODULE__{
          store: GenServer.server(),
          owner: pid(),
          name: Client.name(),
          seq: non_neg_integer()
        }

  @doc false
  def open(%Snapshot{} = snapshot, options) do
    open(snapshot.store, snapshot.owner, snapshot.name, options)
  end

  def open(store, options), do: open(store, Version.store!(store, "fork"), :head, options)

  defp open(store, target, from, options) do
    timeout = Options.validate!(options, :call)[:timeout]

    case Version.open(target, &{:fork, &1, from, []}, timeout) do
      {:ok, {seq, []}, {owner, name}} ->
        {:ok, %__MODULE__{store: store, owner: owner, name: name, seq: seq}}

      {:error, error} when from == :head ->
        {:error, error}

      {:error, error} ->
        Version.answer({:error, error})
    end
  end

  @doc false
  def commit(%__MODULE__{owner: owner, name: name}, options) do
    timeout = Options.validate!(options, :call)[:timeout]

    with {:ok, {seq, []}} <- Version.answer(Client.request(owner, {:commit, name, []}, timeout)) do
      {:ok, seq}
    end
  end

  def commit(other, _options) do
    raise ArgumentError, "expected a %Rhizome.Fork{}, got: #{inspect(other)}"
  end

  defimpl Inspect do
    def inspect(fork, _options) do
      "#Rhizome.Fork<#{Kernel.inspect(fork.store)} from seq #{fork.seq}>"
    end
  end
end
