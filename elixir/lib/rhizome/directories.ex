defmodule Rhizome.Directories do
  @moduledoc false
  # What this VM remembers of the stores on its disk, by directory, beyond the
  # life of a store's process: the highest seq that was acknowledged.
  #
  # The daemon is told at its next start, and refuses a log that does not reach
  # it, or one of another store. So even the last mutations before a crash, of
  # which nothing in the log can prove that anybody was promised them, are not
  # taken for a torn tail if they are missing. That is sound under every sync
  # policy: what was written outlives the daemon, and if the operating system
  # had died, so would we.
  #
  # The number is in an :atomics array, which the store's owner sets with each
  # frame of replies; the table holds where it is, and is written once a start.
  # An orderly stop forgets: the log ends with a record that says so, and
  # whoever puts back a copy from a backup is not to be refused.
  #
  #     {Directory, Store id, Atomics}     what was acknowledged
  #     {{:failed, Directory}, N, At}      N ends in a row that call for patience
  #
  # The second is for a restart with back-off. A disk that is full or broken
  # would make a supervisor give up, and with it its application, within
  # milliseconds; so each further start waits, longer than it takes to use up
  # the restarts that a supervisor grants by default (3 in 5 seconds). The
  # first start of all never waits.

  use GenServer

  @table __MODULE__

  @waits [2_000, 4_000, 5_000]

  # After this time an end is one of its own and not one in a row.
  @failure_memory 60_000

  @type store_id :: <<_::128>>
  @opaque entry :: {Path.t(), store_id(), :atomics.atomics_ref()}

  def start_link(_args), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @impl true
  def init([]) do
    :ets.new(@table, [:named_table, :public, read_concurrency: true])
    {:ok, nil}
  end

  # What a daemon that starts in this directory must find there.
  @spec expected(Path.t()) :: {store_id(), pos_integer()} | nil
  def expected(dir) do
    with [{^dir, store_id, ref}] <- :ets.lookup(@table, dir),
         seq when seq > 0 <- :atomics.get(ref, 1) do
      {store_id, seq}
    else
      _nothing -> nil
    end
  end

  # Whether a store was up there and did not end in order, or still is: whoever
  # starts one there now starts it again.
  @spec known?(Path.t()) :: boolean()
  def known?(dir), do: :ets.member(@table, dir)

  # A daemon is up and has recovered everything to `seq`.
  @spec up(Path.t(), store_id(), non_neg_integer()) :: entry()
  def up(dir, store_id, seq) do
    ref = :atomics.new(1, signed: false)
    :atomics.put(ref, 1, seq)
    entry = {dir, store_id, ref}
    :ets.insert(@table, entry)
    entry
  end

  # Everything to `seq` is acknowledged. There is one writer.
  @spec acknowledged(entry(), non_neg_integer()) :: :ok
  def acknowledged({_dir, _store_id, ref}, seq), do: :atomics.put(ref, 1, seq)

  # The store was stopped in an orderly way. One that has taken its place in the
  # meantime keeps what it knows.
  @spec forget(entry()) :: :ok
  def forget(entry) do
    :ets.delete_object(@table, entry)
    :ok
  end

  # Whoever asks knows that the directory is another one now. A store that is at
  # work there keeps its entry, and remembers from its next acknowledgement on.
  @spec forget_all(Path.t()) :: :ok
  def forget_all(dir) do
    for {_dir, _store_id, ref} <- :ets.lookup(@table, dir), do: :atomics.put(ref, 1, 0)
    unfailed(dir)
  end

  # An end of another kind, which interrupts the row.
  @spec unfailed(Path.t()) :: :ok
  def unfailed(dir) do
    :ets.delete(@table, {:failed, dir})
    :ok
  end

  # An end after which the next start should wait.
  @spec failed(Path.t()) :: :ok
  def failed(dir) do
    {count, _at} = failures(dir)
    :ets.insert(@table, {{:failed, dir}, count + 1, now()})
    :ok
  end

  # How long a start in this directory should wait, in milliseconds. Only where
  # a store was up before and did not end in order: a restart.
  @spec back_off(Path.t()) :: non_neg_integer()
  def back_off(dir) do
    case failures(dir) do
      {0, _at} ->
        0

      {count, at} ->
        wait = Enum.at(@waits, count - 1, List.last(@waits))
        if known?(dir), do: max(at + wait - now(), 0), else: 0
    end
  end

  defp failures(dir) do
    with [{_key, count, at}] <- :ets.lookup(@table, {:failed, dir}),
         true <- now() - at < @failure_memory do
      {count, at}
    else
      _none_or_long_ago -> {0, 0}
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end
