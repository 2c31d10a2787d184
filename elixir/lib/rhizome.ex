defmodule Rhizome do
  alias Rhizome.{
    Batch,
    Change,
    Client,
    Error,
    Fork,
    Op,
    Options,
    Page,
    PortOwner,
    Scan,
    Snapshot,
    Subscription,
    Table,
    Transaction,
    Version,
    View
  }

  require Version

  @moduledoc """
  Sorted tables and two-way relations, held outside the VM by a supervised daemon.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.insert_all!(owns, [{:ann, :sword}, {:ann, :bow}, {:bob, :axe}])
      iex> Enum.to_list(Rhizome.fwd(owns, :ann))
      [:bow, :sword]
      iex> Rhizome.get(Rhizome.bwd(owns), :axe)
      :bob

  A store is usually a child of a supervisor:

      children = [
        {Rhizome, name: MyStore, dir: "data", memory_limit: 512 * 1024 * 1024}
      ]

  With a `:dir` it lives on the disk and comes back after whatever has died; without
  one it is in memory only. The guide on durability says what is promised.

  A *table* has a name and one of nine types (`Rhizome.Table`). One of them is the graph,
  which `Rhizome.Graph` is about; what is said here of views is about the others. A *view* is a
  table seen from one side, `fwd/1` or `bwd/1`, or the set of one key on that
  side, `fwd/2` or `bwd/2`; a table stands for its fwd side. Keys and values are
  any terms. Keys are sorted by Erlang's term order; `1` and `1.0` are two keys,
  and so are `-0.0` and `0.0`. Whatever path a pair is written by, both sides show it.

  ## Results and errors

  There is one rule:

    * A function whose answer is a **tuple** (`{:ok, result}`, or `:ok`) never
      raises because of what the store says: it returns
      `{:error, %Rhizome.Error{}}`. It has a twin with `!` which returns the
      result and raises the error. All mutations are of this kind, and `fetch/3`,
      `page/2`, `table/3` and `ping/2`.
    * A function whose answer is a **plain value**, as in `Map` and `Enum`
      (`get/4`, `member?/3`, `count/2`, `to_list/2` ...), raises the error.

  Wrong arguments raise `ArgumentError` in the caller, before anything is sent.

  ## Snapshots, forks and transactions

  A *version* stands where a store stands: as the first argument of the functions
  here, in handles (`on/2`), or as the option `:at` of those that read.

    * A `Rhizome.Snapshot` is the whole store as it was at one moment, however long it is
      read and whatever others write meanwhile.
    * A `Rhizome.Fork` is a private copy of the whole store, which can be written to and
      then committed or discarded.
    * A `Rhizome.Transaction` is a fork that is committed behind a function, and begun
      anew if others have changed what it has read.

  All three take no time to make, however much the store holds.

  A mutation with the option `:expect` is carried out only if nothing else has been
  since a certain seq:

      iex> {:ok, store} = Rhizome.start_link()
      iex> names = Rhizome.create_table!(store, :names, :to_one)
      iex> seq = Rhizome.info(store).seq
      iex> Rhizome.put!(names, 1, "Ann", expect: seq).outcome
      :inserted
      iex> {:error, error} = Rhizome.put(names, 2, "Bob", expect: seq)
      iex> {error.code, error.details.expected, error.details.seq}
      {:stale, 1, 2}

  ## When the daemon dies

  Each waiting caller is answered at once, the store's process exits with
  `{:daemon_exit, reason}` and its supervisor starts a new one. Handles stay valid.
  A store with a `:dir` comes back with everything that it has ever acknowledged;
  without one it is **empty**, for its tables were in memory only.

  What a caller is told says what it has to reckon with:

    * `:unknown_result` - a mutation that had been sent: it was carried out or it
      was not, as a whole. So it is for one that a stop left unanswered, or the loss
      of the store's node.
    * `:daemon_down` - a read, or a mutation that had not been sent.
    * `:stopped` - there is no store by this name: it was stopped, or it is about to
      be restarted. Or it is starting, however long that takes: it answers so at
      once, and nothing waits for it to recover.
    * `:timeout` - the daemon may be well, and a mutation may still be carried out.
    * `:no_snapshot` - snapshots, forks and transactions end with the daemon.

  `error.details.outcome` is `:not_sent` where it certainly was not.

  A log that is damaged where no crash can have damaged it is refused, and
  nothing on the disk is changed. The store then stays up without a daemon and
  answers every request with `:log_refused`, so that its supervisor does not
  restart it for nothing. The guide on durability says what to do.

  ## Retries

  A mutation that is sent again may be carried out twice: `insert_row/3` would
  insert two rows. With an `:idempotency_key` it is not. A key is any term that
  names the mutation, such as a reference that came with an order; the store
  remembers it and the answer, as durably as the mutation itself. The same key
  again is given the same answer, and nothing is done.

      iex> {:ok, store} = Rhizome.start_link()
      iex> orders = Rhizome.create_table!(store, :orders, :pom)
      iex> for _twice <- 1..2, do: Rhizome.insert_row!(orders, "tea", idempotency_key: "order 7")
      [1, 1]
      iex> Rhizome.count(orders)
      1

  All functions that mutate take it. The last 65,536 keys are kept. A mutation
  that failed, or that changed nothing, is not remembered: it can be sent again
  as it is. A key belongs to one mutation: another command that comes with it is
  refused, as a `:bad_argument`, and the same command with other arguments is given
  the answer of the first. Neither is carried out.

  ## Ends of VMs

  A daemon never outlives its store, and a store that stops waits for the
  grace period (`:shutdown_timeout`) at most. End a VM with `System.stop/1`, which
  stops stores in order. A VM that halts waits until all that was written to
  daemons has reached them. At the end of a script, an uncaught error included,
  a daemon that takes longer than the grace period is killed. `System.halt/1` asks
  nobody: if a daemon is stopped by a signal in the middle of a request that is
  larger than a pipe, the VM waits without a limit, which
  `:erlang.halt(status, flush: false)` does not. A stopped daemon that is left
  behind ends when it goes on.

  ## Timeouts and limits

  All functions take `:timeout` as an option, in milliseconds or `:infinity`. The
  store keeps it: it counts from when the store takes the request, and means the
  same for callers on other nodes. What is in flight is bounded (`:max_in_flight`,
  `:max_in_flight_bytes`): beyond it a call fails with `:overloaded` at once, having
  sent nothing.

  ## Long reads

  What looks at many elements (a listing, or anything with `:where`) is read
  by the daemon beside everything else, from a snapshot of that moment, and keeps no
  other caller waiting. It ends when it is done or at one of its limits, and says at
  which: `:deadline` (the `:timeout`), `:row_limit` (`:max_rows` elements were
  looked at) or `:memory_budget` (`:max_memory`). They are those of one request: of a
  page, a count, or each `:page_size` of a listing.

    * `page/2` returns what it has by then; its `:stopped` names the limit.
    * `stream/2` goes on with the next request.
    * `to_list/2`, `count/2` and the like raise the error, which says in its
      details how many they had (`:count`) and where to go on (`:next`, for the option
      `:cursor`). What `:max_memory` leaves over is asked for in the next request.

  ```
  iex> {:ok, store} = Rhizome.start_link()
  iex> primes = Rhizome.create_table!(store, :primes, :set)
  iex> Rhizome.insert_all!(primes, [2, 3, 5, 7, 11, 13])
  iex> {:ok, page} = Rhizome.page(primes, where: {:>, :key, 3}, max_rows: 4)
  iex> {page.items, page.stopped}
  {[5, 7], :row_limit}
  iex> Rhizome.to_list(primes, where: {:>, :key, 3}, cursor: page.next)
  [11, 13]
  ```

  When the time is up or its caller dies, a read is cancelled: nothing keeps
  running for nobody.
  """

  @typedoc "A running store: its pid or its name."
  @type store :: GenServer.server()

  @typedoc "A snapshot, a fork or a transaction; see `Rhizome.Snapshot` and the others."
  @type version :: Snapshot.t() | Fork.t() | Transaction.t()

  @typedoc "What tables are in: a store, or a version of one."
  @type target :: store() | version()

  @typedoc "What the functions that read and write take: a table is its fwd side."
  @type view :: Table.t() | View.t()

  @typedoc "What a view is a sequence of; see `Rhizome.View`."
  @type element :: term()

  @type result(ok) :: {:ok, ok} | {:error, Error.t()}

  @typedoc "The result of a mutation; `:ok` with `await: false` in a transaction."
  @type mutated(ok) :: result(ok) | :ok

  # The most elements that one request may ask for.
  @page_max 0x7FFF_FFFF

  ## Life

  @doc """
  A child specification: `{Rhizome, name: MyStore}` in a supervisor's children.

  Its id is the `:name`, so several stores fit under one supervisor. See
  `start_link/1` for the options. A relative `:dir` is made absolute here, once, so
  that restarts go where the first start went, wherever the VM is by then.

      iex> {:ok, _supervisor} =
      ...>   Supervisor.start_link([{Rhizome, name: ChildSpecStore}], strategy: :one_for_one)
      iex> Rhizome.ping(ChildSpecStore)
      :ok
      iex> Rhizome.child_spec(name: ChildSpecStore).id
      ChildSpecStore

  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options) do
    validated = Options.validate!(options, :start)

    %{
      id: Map.get(validated, :name, __MODULE__),
      start: {__MODULE__, :start_link, [Keyword.replace(options, :dir, validated.dir)]},
      type: :worker,
      restart: :permanent,
      shutdown: validated.shutdown_timeout + 5_000
    }
  end

  @doc """
  Starts a daemon and the process that stands for it, linked to the caller.

  Returns when the daemon has said hello, or `{:error, %Rhizome.Error{code:
  :start_failed}}` with a message that says why and a `:reason` in its details. It
  takes some milliseconds, and in a `:dir` the time to read what is there: about
  a second for a million mutations since the last checkpoint, for which a
  supervisor waits with the children behind it. Why a start failed is also in
  the log. A store whose log
  is refused does start, and answers every request with `:log_refused`.

      iex> {:ok, store} = Rhizome.start_link(memory_limit: 64 * 1024 * 1024)
      iex> Rhizome.info(store).memory_limit_bytes
      67_108_864

  ## Options

  #{Options.docs(:start)}
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(options \\ []) do
    options |> Options.validate!(:start) |> PortOwner.start_link()
  end

  @doc """
  Stops a store and its daemon.

  What is in flight is answered first, for the grace period at most; whoever
  still waits then gets `:stopped`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> Rhizome.stop(store)
      :ok

  """
  @spec stop(store(), term(), timeout()) :: :ok
  def stop(store, reason \\ :normal, timeout \\ :infinity) do
    GenServer.stop(Version.store!(store, "stop"), reason, timeout)
  end

  @doc """
  Asks the daemon for a sign of life.

      iex> {:ok, store} = Rhizome.start_link()
      iex> Rhizome.ping(store)
      :ok

  """
  @spec ping(store(), keyword()) :: :ok | {:error, Error.t()}
  def ping(store, options \\ []) do
    with {:ok, :pong} <- request(store, {:ping}, options), do: :ok
  end

  @doc """
  Facts about a store: `:seq`, the number of mutations so far; `:tables`, how
  many there are; `:memory_bytes`, `:memory_peak_bytes` and
  `:memory_limit_bytes` (a number or `:infinity`); of the daemon its `:version`,
  `:protocol`, `:os_pid`, and `:sealed`, whether the operating system lets it do no
  more than it has to; and since its start `:commands`, `:frames_in`, `:bytes_in` and
  `:bytes_out`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> Rhizome.info(store).seq
      0

  And about one with a `:dir`, `nil` in memory only:

    * `:durable_seq` - the mutations up to here are on the disk; `:sync` is the
      policy, or `:memory`.
    * `:store_id` - the name that the store was given when it was made.
    * `:log` - a map of `:dir`, `:epoch` (how many times the store was opened),
      `:log_bytes` since the last checkpoint, `:pending_bytes` of them that are not
      written yet, `:checkpoint_seq` and `:checkpoint_bytes` (0 if there is none),
      `:checkpointing` (whether one is being written), `:segments` (files of the log),
      `:syncs` since the start, and `:full` (whether the last mutation found no room).
    * `:recovered` - how the daemon started: a map of `:checkpoint` (the seq of the
      one it began with, or 0), `:records` and `:bytes` that were read behind it, `:ms`
      that it took, `:fresh` (there was nothing), `:clean` (it had been stopped in
      an orderly way) and `:torn`: `nil`, or what a crash had torn off the end of
      the log, a map of `:bytes`, the `:seq` before it, `:file`, `:offset`, and
      `:saved`, where it is.

  And what is open and going on:

    * `:snapshots` - the oldest 100 snapshots and forks, oldest first: maps of `:kind`
      (`:snapshot` or `:fork`), `:seq`, `:age_ms`, `:bytes` and `:version`, its name.
    * `:snapshot_count` - how many there are, and `:snapshot_bytes`, the memory that only
      they hold.
    * `:reads` - of the long reads, a map of how many are `:running`, `:waiting`,
      `:done` and `:cancelled`.
    * `:subscriptions` - how many there are.

      iex> {:ok, store} = Rhizome.start_link()
      iex> Rhizome.with_snapshot(store, fn _snapshot -> Rhizome.info(store).snapshot_count end)
      1
      iex> Rhizome.info(store).snapshot_count
      0

  """
  @spec info(store(), keyword()) :: map()
  def info(store, options \\ []) do
    info = unwrap!(request(store, {:info}, options))
    recovered = or_nil(unwrap!(Client.recovered(store)))

    info
    |> Map.put(:recovered, recovered && Map.update(recovered, :torn, nil, &or_nil/1))
    |> Map.update(:log, nil, &or_nil/1)
    |> Map.update(:store_id, nil, &hex(or_nil(&1)))
    |> Map.put_new(:durable_seq, nil)
  end

  defp or_nil(:none), do: nil
  defp or_nil(term), do: term

  defp hex(nil), do: nil
  defp hex(bytes), do: Base.encode16(bytes, case: :lower)

  ## Durability

  @doc """
  Waits until everything that was carried out before is on the disk, whatever the
  store's `:sync` policy, and returns the seq up to which it is.

  Errors: `:no_log` if the store is in memory only.

      iex> dir = Path.join(System.tmp_dir!(), "rhizome-\#{System.os_time()}")
      iex> {:ok, store} = Rhizome.start_link(dir: dir, sync: :none)
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert!(primes, 2)
      iex> Rhizome.sync(store)
      {:ok, 2}

  """
  @spec sync(store(), keyword()) :: result(seq :: non_neg_integer())
  def sync(store, options \\ []), do: request(store, {:sync}, options)

  @doc "`sync/2` that returns the seq or raises the error."
  @spec sync!(store(), keyword()) :: non_neg_integer()
  def sync!(store, options \\ []), do: unwrap!(sync(store, options))

  @doc """
  Writes a checkpoint: the whole store in one file, from which the next start
  begins. The log before it is deleted when that file is safely on the disk.

  Mutations and reads go on meanwhile. Returns the `:seq` of the checkpoint, its
  `:bytes` and `:elements`, and its `:digest` (see `digest/2`). Stores do this by
  themselves when their log has grown; see the option `:checkpoint` of `start_link/1`.

  It takes the time that writing the store takes, so `:timeout` is `:infinity` unless
  it is given. Errors: `:no_log` if the store is in memory only; `:log_full` and
  `:io` if the checkpoint cannot be written, after which the store goes on as before.
  If it is the log that fails meanwhile, the daemon ends as it does at any other time:
  the answer is `:daemon_down`, the store is started again from the last checkpoint
  and the log behind it, and what there was of the new one is deleted.

      iex> dir = Path.join(System.tmp_dir!(), "rhizome-\#{System.os_time()}")
      iex> {:ok, store} = Rhizome.start_link(dir: dir)
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5])
      iex> {:ok, checkpoint} = Rhizome.checkpoint(store)
      iex> {checkpoint.seq, checkpoint.elements}
      {2, 3}

  """
  @spec checkpoint(store(), keyword()) ::
          result(%{
            seq: non_neg_integer(),
            bytes: non_neg_integer(),
            elements: non_neg_integer(),
            digest: String.t()
          })
  def checkpoint(store, options \\ []) do
    options = Keyword.put_new(options, :timeout, :infinity)

    with {:ok, checkpoint} <- request(store, {:checkpoint}, options) do
      {:ok, Map.update!(checkpoint, :digest, &hex/1)}
    end
  end

  @doc "`checkpoint/2` that returns the map or raises the error."
  @spec checkpoint!(store(), keyword()) :: map()
  def checkpoint!(store, options \\ []), do: unwrap!(checkpoint(store, options))

  @doc """
  A number that two stores share if they hold the same, in whatever order they
  came to it, and the `:seq` at which it was taken. Costs nothing to ask for.

  It is written as 32 hexadecimal digits, as `rhizome replay` prints it. Of a store
  on the disk it is recorded in the log, too, and `rhizome replay --verify` compares.

      iex> digests =
      ...>   for elements <- [[2, 3, 5], [5, 3, 2]] do
      ...>     {:ok, store} = Rhizome.start_link()
      ...>     primes = Rhizome.create_table!(store, :primes, :set)
      ...>     Enum.each(elements, &Rhizome.insert!(primes, &1))
      ...>     Rhizome.digest!(store)
      ...>   end
      iex> [%{digest: digest, seq: 4}, %{digest: digest, seq: 4}] = digests
      iex> byte_size(digest)
      32

  """
  @spec digest(target(), keyword()) :: result(%{seq: non_neg_integer(), digest: String.t()})
  def digest(store, options \\ []) do
    with {:ok, digest} <- read(store, {:digest}, options) do
      {:ok, Map.update!(digest, :digest, &hex/1)}
    end
  end

  @doc "`digest/2` that returns the map or raises the error."
  @spec digest!(target(), keyword()) :: %{seq: non_neg_integer(), digest: String.t()}
  def digest!(store, options \\ []), do: unwrap!(digest(store, options))

  ## Tables

  @doc """
  Creates a table and returns its handle.

  A table that exists already with the same type and options is left as it is,
  so this can be done whenever a program starts. Errors: `:table_exists` if it
  exists otherwise (or at all, with `if_exists: :error`).

  ## Options

  #{Options.docs(:create_table)}

  ## Integrity

      iex> {:ok, store} = Rhizome.start_link()
      iex> users = Rhizome.create_table!(store, :users, :to_one)
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many, fwd: {users, :evict})
      iex> {:error, error} = Rhizome.put(owns, :ann, :sword)
      iex> error.code
      :missing_reference
      iex> Rhizome.put!(users, :ann, "Ann")
      iex> Rhizome.put!(owns, :ann, :sword)
      iex> Rhizome.delete_key!(users, :ann).cascade
      [{:owns, [{:ann, :sword}]}]

  """
  @spec create_table(target(), Table.name(), Table.type(), keyword()) :: result(Table.t())
  def create_table(store, name, type, options \\ []) do
    options = Op.validate_create!(options)
    op = Op.create_table(name, type, options)

    for other <- Op.reference_stores(options), not Version.fits?(other, store) do
      raise ArgumentError,
            "a table of store #{inspect(store)} cannot refer to one of #{inspect(other)}"
    end

    with {:error, error} <- send_validated(op, store, options) do
      {:error, error}
    else
      _created -> {:ok, handle(store, name, type)}
    end
  end

  @doc "`create_table/4` that returns the handle or raises the error."
  @spec create_table!(target(), Table.name(), Table.type(), keyword()) :: Table.t()
  def create_table!(store, name, type, options \\ []) do
    unwrap!(create_table(store, name, type, options))
  end

  @doc """
  Returns the handle of an existing table. Errors: `:no_table`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> Rhizome.create_table!(store, :owns, :one_to_many)
      iex> {:ok, owns} = Rhizome.table(store, :owns)
      iex> owns.type
      :one_to_many

  """
  @spec table(target(), Table.name(), keyword()) :: result(Table.t())
  def table(store, name, options \\ []) do
    with {:ok, target, {:ok, type}} <- read_at(store, {:table_type, name}, options) do
      {:ok, handle(target, name, type)}
    else
      {:ok, _target, {:error, error}} -> {:error, error}
    end
  end

  @doc "`table/3` that returns the handle or raises the error."
  @spec table!(target(), Table.name(), keyword()) :: Table.t()
  def table!(store, name, options \\ []), do: unwrap!(table(store, name, options))

  @doc """
  Makes a handle without asking the store, for a table that is known to have
  this type, is created elsewhere, or will be created by the same batch.

      iex> Rhizome.handle(MyStore, :owns, :one_to_many)
      #Rhizome.Table<:owns (one_to_many), MyStore>

  """
  @spec handle(target(), Table.name(), Table.type()) :: Table.t()
  def handle(store, name, type) do
    %Table{store: store, name: name, type: Table.check_type!(type)}
  end

  @doc """
  The handles of all tables, sorted by name.

      iex> {:ok, store} = Rhizome.start_link()
      iex> Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.create_table!(store, :items, :pom)
      iex> for table <- Rhizome.tables(store), do: table.name
      [:items, :owns]

  """
  @spec tables(target(), keyword()) :: [Table.t()]
  def tables(store, options \\ []) do
    {:ok, target, answer} = read_at(store, {:tables}, options)
    for {name, type} <- unwrap!(answer), do: handle(target, name, type)
  end

  @doc """
  Facts about a table: `:name`, `:type`, `:count` of its elements, `:fwd_keys`
  and `:bwd_keys` (distinct ones), `:bytes`, `:references` and, of a pom, `:next_id`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.table_info(owns).count
      0

  """
  @spec table_info(Table.t(), keyword()) :: map()
  def table_info(table, options \\ []) do
    %Table{store: store, name: name} = Table.check!(table)
    ask!(store, {:table_info, name}, options)
  end

  @doc """
  Deletes all elements of a table, in one step. They are counted and not listed;
  those deleted from tables that refer to this one are in the change's cascade.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5])
      iex> Rhizome.clear!(primes).count
      3

  """
  @spec clear(Table.t(), keyword()) :: mutated(Change.t())
  def clear(table, options \\ []), do: mutate(Op.clear(table), table, options)

  @doc "`clear/2` that returns the change or raises the error."
  @spec clear!(Table.t(), keyword()) :: Change.t()
  def clear!(table, options \\ []), do: unwrap!(clear(table, options))

  @doc """
  Drops a table. Errors: `:no_table`; `:restricted` while another refers to it.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.drop_table(primes)
      :ok

  """
  @spec drop_table(Table.t(), keyword()) :: :ok | {:error, Error.t()}
  def drop_table(table, options \\ []) do
    op = Op.drop(table)
    with {:ok, :dropped} <- send_mutation(op, table.store, options), do: :ok
  end

  @doc "`drop_table/2` that returns `:ok` or raises the error."
  @spec drop_table!(Table.t(), keyword()) :: :ok
  def drop_table!(table, options \\ []) do
    with {:error, error} <- drop_table(table, options), do: raise(error)
  end

  ## Views

  @doc """
  The fwd side of a table, as a view.

      iex> owns = Rhizome.handle(MyStore, :owns, :one_to_many)
      iex> Rhizome.fwd(owns)
      #Rhizome.View<the fwd side of :owns (one_to_many), MyStore>

  """
  @spec fwd(Table.t()) :: View.t()
  def fwd(table), do: View.side!(table, :fwd)

  @doc """
  The bwd side of a table that has two sides, as a view.

      iex> owns = Rhizome.handle(MyStore, :owns, :one_to_many)
      iex> Rhizome.bwd(owns)
      #Rhizome.View<the bwd side of :owns (one_to_many), MyStore>

  """
  @spec bwd(Table.t()) :: View.t()
  def bwd(table), do: View.side!(table, :bwd)

  @doc """
  The partners of `key` on the fwd side: a *held set*, whether or not there are any.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> hers = Rhizome.fwd(owns, :ann)
      iex> Rhizome.insert_all!(hers, [:sword, :bow])
      iex> Rhizome.to_list(hers)
      [:bow, :sword]
      iex> Rhizome.to_list(owns)
      [{:ann, :bow}, {:ann, :sword}]

  """
  @spec fwd(Table.t(), key :: term()) :: View.t()
  def fwd(table, key), do: View.held!(table, :fwd, key)

  @doc """
  The partners of `key` on the bwd side: a *held set*, whether or not there are any.

      iex> {:ok, store} = Rhizome.start_link()
      iex> tags = Rhizome.create_table!(store, :tags, :many_to_many)
      iex> Rhizome.insert_all!(tags, [{:post1, "elixir"}, {:post2, "elixir"}])
      iex> Enum.to_list(Rhizome.bwd(tags, "elixir"))
      [:post1, :post2]

  """
  @spec bwd(Table.t(), key :: term()) :: View.t()
  def bwd(table, key), do: View.held!(table, :bwd, key)

  @doc """
  The same table or view in a snapshot, a fork or a transaction, or in the store again.

  Every function works on it, and `Enum` and `Enum.into/2` do. It asks nobody. Raises
  `ArgumentError` if that is another store, or a version of another one.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.with_snapshot(store, fn snapshot ->
      ...>   Rhizome.insert!(primes, 2)
      ...>   {Enum.count(Rhizome.on(primes, snapshot)), Enum.count(primes)}
      ...> end)
      {0, 1}

  """
  @spec on(handle, target()) :: handle when handle: Table.t() | View.t()
  def on(%module{} = handle, target) when module in [Table, View] do
    unless Version.is_version(target), do: Client.whereis!(target)
    %{handle | store: Version.rebound!(handle.store, target)}
  end

  def on(other, _target), do: View.of(other)

  ## Mutations

  @doc """
  Inserts an element into a view and returns a `Rhizome.Change`: the outcome
  `:inserted`, or `:exists` if it was there already, and what it evicted.

  An element is what the view shows: a key of a set, `{key, value}` of a
  `:to_one`, `{key, partner}` of a side, a partner of a held set. Rows of a pom
  are inserted by `insert_row/3`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> {:ok, _change} = Rhizome.insert(owns, {:ann, :sword})
      iex> {:ok, change} = Rhizome.insert(Rhizome.fwd(owns, :bob), :sword)
      iex> change
      %Rhizome.Change{outcome: :inserted, count: 1, evicted: [{:ann, :sword}], cascade: []}

  Errors: `:no_table`, `:too_big`, `:memory_limit`, `:missing_reference`, `:restricted`.
  """
  @spec insert(view(), element(), keyword()) :: mutated(Change.t())
  def insert(view, element, options \\ []) do
    view = View.of(view)
    mutate(Op.insert(view, element), view, options)
  end

  @doc "`insert/3` that returns the change or raises the error."
  @spec insert!(view(), element(), keyword()) :: Change.t()
  def insert!(view, element, options \\ []), do: unwrap!(insert(view, element, options))

  @doc """
  Inserts the element `{key, partner}`, or `{key, value}`: `insert/3` in the words of `Map`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> names = Rhizome.create_table!(store, :names, :to_one)
      iex> Rhizome.put!(names, 1, "Ann")
      iex> Rhizome.put!(names, 1, "Anne").evicted
      [{1, "Ann"}]

  """
  @spec put(view(), key :: term(), partner :: term(), keyword()) :: mutated(Change.t())
  def put(view, key, partner, options \\ []) do
    view = View.of(view)
    mutate(Op.put(view, key, partner), view, options)
  end

  @doc "`put/4` that returns the change or raises the error."
  @spec put!(view(), key :: term(), partner :: term(), keyword()) :: Change.t()
  def put!(view, key, partner, options \\ []), do: unwrap!(put(view, key, partner, options))

  @doc """
  Inserts an element that takes nobody's place: `insert/3` that never evicts.

  The outcome is `:exists`, and nothing changes, if the element is there or if
  it would have evicted another one. One request, so no other caller comes
  between the look and the insert.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.insert_new!(owns, {:ann, :sword}).outcome
      :inserted
      iex> Rhizome.insert_new!(owns, {:bob, :sword}).outcome
      :exists
      iex> Rhizome.to_list(owns)
      [ann: :sword]

  """
  @spec insert_new(view(), element(), keyword()) :: mutated(Change.t())
  def insert_new(view, element, options \\ []) do
    view = View.of(view)
    mutate(Op.insert_new(view, element), view, options)
  end

  @doc "`insert_new/3` that returns the change or raises the error."
  @spec insert_new!(view(), element(), keyword()) :: Change.t()
  def insert_new!(view, element, options \\ []), do: unwrap!(insert_new(view, element, options))

  @doc """
  Inserts `{key, partner}`, or `{key, value}`, unless it would take the place of
  another one: `insert_new/3` in the words of `Map`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> names = Rhizome.create_table!(store, :names, :to_one)
      iex> Rhizome.put_new!(names, 1, "Ann").outcome
      :inserted
      iex> Rhizome.put_new!(names, 1, "Anne").outcome
      :exists
      iex> Rhizome.get(names, 1)
      "Ann"

  """
  @spec put_new(view(), key :: term(), partner :: term(), keyword()) :: mutated(Change.t())
  def put_new(view, key, partner, options \\ []) do
    view = View.of(view)
    mutate(Op.put_new(view, key, partner), view, options)
  end

  @doc "`put_new/4` that returns the change or raises the error."
  @spec put_new!(view(), key :: term(), partner :: term(), keyword()) :: Change.t()
  def put_new!(view, key, partner, options \\ []) do
    unwrap!(put_new(view, key, partner, options))
  end

  @doc """
  Inserts all elements or, on an error, none, in one request.

  The outcome is how many were inserted. For a long list, `Enum.into/2` sends
  1,000 at a time.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> {:ok, change} = Rhizome.insert_all(primes, [2, 3, 3])
      iex> change.outcome
      2

  """
  @spec insert_all(view(), Enumerable.t(), keyword()) :: mutated(Change.t())
  def insert_all(view, elements, options \\ []) do
    view = View.of(view)
    mutate(Op.insert_all(view, elements), view, options)
  end

  @doc "`insert_all/3` that returns the change or raises the error."
  @spec insert_all!(view(), Enumerable.t(), keyword()) :: Change.t()
  def insert_all!(view, elements, options \\ []), do: unwrap!(insert_all(view, elements, options))

  @doc """
  Deletes an element. The outcome is `:deleted`, or `:absent` if it was not there.

  `{key, value}` of a `:to_one` or a pom is deleted only if the value is this one;
  `delete_key/3` and `delete_row/3` delete it whatever the value is.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.put!(owns, :ann, :sword)
      iex> Rhizome.delete!(owns, {:bob, :sword}).outcome
      :absent
      iex> Rhizome.delete!(Rhizome.bwd(owns), {:sword, :ann}).outcome
      :deleted

  """
  @spec delete(view(), element(), keyword()) :: mutated(Change.t())
  def delete(view, element, options \\ []) do
    view = View.of(view)
    mutate(Op.delete(view, element), view, options)
  end

  @doc "`delete/3` that returns the change or raises the error."
  @spec delete!(view(), element(), keyword()) :: Change.t()
  def delete!(view, element, options \\ []), do: unwrap!(delete(view, element, options))

  @doc """
  Deletes all of these elements that are there, in one request. The outcome is how many were.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5])
      iex> Rhizome.delete_all!(primes, [3, 4, 5]).outcome
      2

  """
  @spec delete_all(view(), Enumerable.t(), keyword()) :: mutated(Change.t())
  def delete_all(view, elements, options \\ []) do
    view = View.of(view)
    mutate(Op.delete_all(view, elements), view, options)
  end

  @doc "`delete_all/3` that returns the change or raises the error."
  @spec delete_all!(view(), Enumerable.t(), keyword()) :: Change.t()
  def delete_all!(view, elements, options \\ []), do: unwrap!(delete_all(view, elements, options))

  @doc """
  Deletes all pairs of a key. The outcome is how many there were.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.insert_all!(owns, [{:ann, :sword}, {:ann, :bow}])
      iex> Rhizome.delete_key!(owns, :ann).evicted
      [{:ann, :bow}, {:ann, :sword}]

  """
  @spec delete_key(view(), key :: term(), keyword()) :: mutated(Change.t())
  def delete_key(view, key, options \\ []) do
    view = View.of(view)
    mutate(Op.delete_key(view, key), view, options)
  end

  @doc "`delete_key/3` that returns the change or raises the error."
  @spec delete_key!(view(), key :: term(), keyword()) :: Change.t()
  def delete_key!(view, key, options \\ []), do: unwrap!(delete_key(view, key, options))

  @doc """
  Inserts a row into a pom and returns its id.

  Ids count up from 1 and are never given out again.

      iex> {:ok, store} = Rhizome.start_link()
      iex> items = Rhizome.create_table!(store, :items, :pom)
      iex> Rhizome.insert_row(items, %{name: "sword"})
      {:ok, 1}
      iex> Rhizome.get(items, 1)
      %{name: "sword"}

  """
  @spec insert_row(view(), value :: term(), keyword()) :: mutated(pos_integer())
  def insert_row(table, value, options \\ []) do
    view = View.of(table)
    mutate(Op.insert_row(view, value), view, options)
  end

  @doc "`insert_row/3` that returns the id or raises the error."
  @spec insert_row!(view(), value :: term(), keyword()) :: pos_integer()
  def insert_row!(table, value, options \\ []), do: unwrap!(insert_row(table, value, options))

  @doc """
  Inserts rows into a pom, in one request, and returns their ids.

      iex> {:ok, store} = Rhizome.start_link()
      iex> items = Rhizome.create_table!(store, :items, :pom)
      iex> Rhizome.insert_rows(items, ["sword", "bow"])
      {:ok, [1, 2]}

  """
  @spec insert_rows(view(), Enumerable.t(), keyword()) :: mutated([pos_integer()])
  def insert_rows(table, values, options \\ []) do
    view = View.of(table)
    mutate(Op.insert_rows(view, values), view, options)
  end

  @doc "`insert_rows/3` that returns the ids or raises the error."
  @spec insert_rows!(view(), Enumerable.t(), keyword()) :: [pos_integer()]
  def insert_rows!(table, values, options \\ []), do: unwrap!(insert_rows(table, values, options))

  @doc """
  Replaces the value of a row of a pom. Errors: `:not_found`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> items = Rhizome.create_table!(store, :items, :pom)
      iex> id = Rhizome.insert_row!(items, "sword")
      iex> Rhizome.update_row!(items, id, "two-handed sword").evicted
      [{1, "sword"}]

  """
  @spec update_row(view(), id :: pos_integer(), value :: term(), keyword()) :: mutated(Change.t())
  def update_row(table, id, value, options \\ []) do
    view = View.of(table)
    mutate(Op.update_row(view, id, value), view, options)
  end

  @doc "`update_row/4` that returns the change or raises the error."
  @spec update_row!(view(), id :: pos_integer(), value :: term(), keyword()) :: Change.t()
  def update_row!(table, id, value, options \\ []) do
    unwrap!(update_row(table, id, value, options))
  end

  @doc """
  Deletes a row of a pom by its id. The outcome is how many there were, 1 or 0.

      iex> {:ok, store} = Rhizome.start_link()
      iex> items = Rhizome.create_table!(store, :items, :pom)
      iex> id = Rhizome.insert_row!(items, "sword")
      iex> Rhizome.delete_row!(items, id).evicted
      [{1, "sword"}]
      iex> Rhizome.delete_row!(items, id).outcome
      0

  """
  @spec delete_row(view(), id :: pos_integer(), keyword()) :: mutated(Change.t())
  def delete_row(table, id, options \\ []) do
    view = View.of(table)
    mutate(Op.delete_row(view, id), view, options)
  end

  @doc "`delete_row/3` that returns the change or raises the error."
  @spec delete_row!(view(), id :: pos_integer(), keyword()) :: Change.t()
  def delete_row!(table, id, options \\ []), do: unwrap!(delete_row(table, id, options))

  @doc """
  Carries out a `Rhizome.Batch`: all of its mutations or none.

  Returns their results in order. An error is that of the first mutation that
  failed, with its 0-based `:index` in `:details`. An `:idempotency_key` is one for
  the whole of it. On a fork or in a transaction the batch may hold handles of that and
  of its store: it is there that all of it is carried out.

      iex> {:ok, store} = Rhizome.start_link()
      iex> items = Rhizome.create_table!(store, :items, :pom)
      iex> batch =
      ...>   Rhizome.Batch.new()
      ...>   |> Rhizome.Batch.insert_row(items, "sword")
      ...>   |> Rhizome.Batch.update_row(items, 99, "axe")
      iex> {:error, error} = Rhizome.run(store, batch)
      iex> {error.code, error.details.index}
      {:not_found, 1}
      iex> Rhizome.count(items)
      0

  """
  @spec run(target(), Batch.t(), keyword()) :: mutated([Change.t() | term()])
  def run(store, batch, options \\ []) do
    Batch.check_store!(batch, store)

    case Batch.ops(batch) do
      [] ->
        {:ok, []}

      ops ->
        mutate({:batch, ops}, %{store: store}, options)
    end
  end

  @doc "`run/3` that returns the results or raises the error."
  @spec run!(target(), Batch.t(), keyword()) :: [Change.t() | term()]
  def run!(store, batch, options \\ []), do: unwrap!(run(store, batch, options))

  ## Reading by key

  @doc """
  The value or the one partner of `key`, or `default`.

  For a side on which a key has at most one partner. Where it may have many,
  `fwd/2` and `bwd/2` are the set of them, and this raises `ArgumentError`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.put!(owns, :ann, :sword)
      iex> Rhizome.get(Rhizome.bwd(owns), :sword)
      :ann
      iex> Rhizome.get(Rhizome.bwd(owns), :axe, :nobody)
      :nobody

  """
  @spec get(view(), key :: term(), default, keyword()) :: term() | default when default: term()
  def get(view, key, default \\ nil, options \\ []) do
    check_default!(default, options, :read, "get(view, key, nil")
    view = View.check_to_one!(View.of(view), "get")

    case ask!(view.store, {:get, view.table, view.side, key}, options) do
      {:value, value} -> value
      :none -> default
    end
  end

  @doc """
  What `get/4` gives for each of these keys, in their order and in one request.

      iex> {:ok, store} = Rhizome.start_link()
      iex> ages = Rhizome.create_table!(store, :ages, :to_one)
      iex> Rhizome.insert_all!(ages, ann: 31, bob: 27)
      iex> Rhizome.get_all(ages, [:bob, :eve, :ann], 0)
      [27, 0, 31]

  All of them are of one moment. O(log n) a key.
  """
  @spec get_all(view(), Enumerable.t(), default, keyword()) :: [term() | default]
        when default: term()
  def get_all(view, keys, default \\ nil, options \\ []) do
    check_default!(default, options, :read, "get_all(view, keys, nil")
    view = View.check_to_one!(View.of(view), "get_all")

    for answer <- ask!(view.store, {:get_all, view.table, view.side, Enum.to_list(keys)}, options) do
      case answer do
        {:value, value} -> value
        :none -> default
      end
    end
  end

  @doc """
  The value or the one partner of `key`, as `{:ok, value}`. Errors: `:not_found`.

  For the same sides as `get/4`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> names = Rhizome.create_table!(store, :names, :to_one)
      iex> Rhizome.put!(names, 1, "Ann")
      iex> Rhizome.fetch(names, 1)
      {:ok, "Ann"}
      iex> {:error, error} = Rhizome.fetch(names, 2)
      iex> error.code
      :not_found

  """
  @spec fetch(view(), key :: term(), keyword()) :: result(term())
  def fetch(view, key, options \\ []) do
    view = View.check_to_one!(View.of(view), "fetch")

    case read(view.store, {:get, view.table, view.side, key}, options) do
      {:ok, {:value, value}} -> {:ok, value}
      {:ok, :none} -> {:error, no_such_key(view, key)}
      {:error, error} -> {:error, error}
    end
  end

  @doc "`fetch/3` that returns the value or raises the error."
  @spec fetch!(view(), key :: term(), keyword()) :: term()
  def fetch!(view, key, options \\ []), do: unwrap!(fetch(view, key, options))

  @doc """
  Whether `element` is in a view.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.put!(owns, :ann, :sword)
      iex> Rhizome.member?(Rhizome.fwd(owns, :ann), :sword)
      true
      iex> {:sword, :ann} in Rhizome.bwd(owns)
      true

  """
  @spec member?(view(), element(), keyword()) :: boolean()
  def member?(view, element, options \\ []) do
    view = View.of(view)
    element = View.check_element!(view, element)
    ask!(view.store, {:member, view.table, View.wire(view), element}, options)
  end

  @doc """
  Whether `key` has a pair, a value or a row on a side. A key of a set is its element.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.has_key?(owns, :ann)
      false

  """
  @spec has_key?(view(), key :: term(), keyword()) :: boolean()
  def has_key?(view, key, options \\ []) do
    view = View.check_whole!(View.of(view), "has_key?")
    ask!(view.store, {:has_key, view.table, view.side, key}, options)
  end

  ## Counting and positions

  @doc """
  The number of elements in a view or, with options, in a range of it.

  It takes one request and O(log n), as all of `rank/3`, `position/3`, `at/4`
  and `slice/4` do: nothing is walked. With `:where` the elements of the range are
  looked at, in O(n).

      iex> {:ok, store} = Rhizome.start_link()
      iex> scores = Rhizome.create_table!(store, :scores, :to_many)
      iex> Rhizome.insert_all!(scores, [{10, :ann}, {20, :bob}, {20, :cid}, {30, :dee}])
      iex> Rhizome.count(scores)
      4
      iex> Rhizome.count(scores, from: 20)
      3
      iex> Rhizome.count(Rhizome.fwd(scores, 20))
      2

  ## Options

  #{Options.docs(:count)}
  """
  @spec count(view(), keyword()) :: non_neg_integer()
  def count(view, options \\ []) do
    options = Options.validate!(options, :count)
    view = Version.at(View.of(view), options)
    op = {:count, view.table, View.wire(view), Scan.from(view, options), Scan.to(options)}

    case Scan.limits(options) do
      %{where: _condition} = limits ->
        unwrap!(Client.read(view.store, op, limits, options[:timeout]))

      _nothing_to_look_at ->
        unwrap!(Client.request(view.store, op, options[:timeout]))
    end
  end

  @doc """
  The number of distinct keys on a side.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.insert_all!(owns, [{:ann, :sword}, {:ann, :bow}])
      iex> {Rhizome.key_count(owns), Rhizome.key_count(Rhizome.bwd(owns))}
      {1, 2}

  """
  @spec key_count(view(), keyword()) :: non_neg_integer()
  def key_count(view, options \\ []) do
    view = View.check_whole!(View.of(view), "key_count")
    ask!(view.store, {:key_count, view.table, view.side}, options)
  end

  @doc """
  How many elements lie before `element`, whether or not it is there.

  Of a pom or a `:to_one`, give the key alone.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5, 7])
      iex> {Rhizome.rank(primes, 5), Rhizome.rank(primes, 6)}
      {2, 3}

  """
  @spec rank(view(), element(), keyword()) :: non_neg_integer()
  def rank(view, element, options \\ []) do
    {rank, _member?} = ask_rank!(view, element, options)
    rank
  end

  @doc """
  The position of `element`, counted from 0, or `nil` if it is not there.

  Of a pom or a `:to_one`, give the key alone.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5, 7])
      iex> {Rhizome.position(primes, 5), Rhizome.position(primes, 6)}
      {2, nil}

  """
  @spec position(view(), element(), keyword()) :: non_neg_integer() | nil
  def position(view, element, options \\ []) do
    {rank, member?} = ask_rank!(view, element, options)
    if member?, do: rank
  end

  @doc """
  The element at `position`, counted from 0 or, if negative, from the end; or `default`.

  With `:where` it is the first from there on of which that holds: positions count all
  elements, whether or not it holds of them.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5, 7])
      iex> {Rhizome.at(primes, 1), Rhizome.at(primes, -1), Rhizome.at(primes, 9)}
      {3, 7, nil}

  """
  @spec at(view(), integer(), default, keyword()) :: element() | default when default: term()
  def at(view, position, default \\ nil, options \\ []) do
    check_default!(default, options, :walk, "at(view, position, nil")
    one(view, default, [position: position], options)
  end

  @doc """
  The elements at a range of positions, as `Enum.slice/2` counts them.

  Takes one request, or two where the range counts from the end or has a step.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5, 7, 11])
      iex> Rhizome.slice(primes, 1..3)
      [3, 5, 7]
      iex> Rhizome.slice(primes, -2..-1)
      [7, 11]

  """
  @spec slice(view(), Range.t()) :: [element()]
  def slice(view, range)

  def slice(view, %Range{} = range) do
    if range.first >= 0 and range.last >= range.first and range.step == 1 do
      slice(view, range.first, range.last - range.first + 1)
    else
      Enum.slice(View.of(view), range)
    end
  end

  def slice(_view, other) do
    raise ArgumentError, "expected a range of positions, got: #{inspect(other)}"
  end

  @doc """
  At most `amount` elements from a position on: a page from the middle, in one request.

  A position before the beginning is the beginning, as for `Enum.slice/3`; finding
  that out takes a second request. With `:where` the position counts all elements, and the
  amount those of which it holds.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5, 7, 11])
      iex> Rhizome.slice(primes, 2, 2)
      [5, 7]

  """
  @spec slice(view(), integer(), non_neg_integer(), keyword()) :: [element()]
  def slice(view, position, amount, options \\ []) do
    page_size = if is_integer(amount), do: amount |> max(1) |> min(@page_max), else: 1
    walk = [position: position, limit: amount, page_size: page_size] ++ options

    case to_list(view, walk) do
      [] when position < 0 and amount > 0 -> to_list(view, Keyword.put(walk, :position, 0))
      elements -> elements
    end
  end

  ## Reading in order

  @doc """
  The first element of a view, or `default`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.first(primes, :none)
      :none
      iex> Rhizome.insert_all!(primes, [5, 3, 2])
      iex> Rhizome.first(primes)
      2

  """
  @spec first(view(), default, keyword()) :: element() | default when default: term()
  def first(view, default \\ nil, options \\ []) do
    check_default!(default, options, :walk, "first(view, nil")
    one(view, default, [], options)
  end

  @doc """
  The last element of a view, or `default`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [5, 3, 2])
      iex> Rhizome.last(primes)
      5

  """
  @spec last(view(), default, keyword()) :: element() | default when default: term()
  def last(view, default \\ nil, options \\ []) do
    check_default!(default, options, :walk, "last(view, nil")
    one(view, default, [reverse: true], options)
  end

  @doc """
  The element that follows `element`, whether or not that is there; or `default`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5, 7])
      iex> {Rhizome.next(primes, 3), Rhizome.next(primes, 4), Rhizome.next(primes, 7)}
      {5, 5, nil}

  Of a pom or a `:to_one`, give the key alone:

      iex> {:ok, store} = Rhizome.start_link()
      iex> names = Rhizome.create_table!(store, :names, :to_one)
      iex> Rhizome.insert_all!(names, [{1, "Ann"}, {2, "Bob"}])
      iex> Rhizome.next(names, 1)
      {2, "Bob"}

  """
  @spec next(view(), element(), default, keyword()) :: element() | default when default: term()
  def next(view, element, default \\ nil, options \\ []) do
    check_default!(default, options, :walk, "next(view, element, nil")
    one(view, default, [after: element], options)
  end

  @doc """
  The element before `element`, whether or not that is there; or `default`.

  Of a pom or a `:to_one`, give the key alone.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5, 7])
      iex> {Rhizome.prev(primes, 5), Rhizome.prev(primes, 4), Rhizome.prev(primes, 2)}
      {3, 3, nil}

  """
  @spec prev(view(), element(), default, keyword()) :: element() | default when default: term()
  def prev(view, element, default \\ nil, options \\ []) do
    check_default!(default, options, :walk, "prev(view, element, nil")
    one(view, default, [after: element, reverse: true], options)
  end

  @doc """
  The elements of a view or of a range of it, in order, as a list.

      iex> {:ok, store} = Rhizome.start_link()
      iex> scores = Rhizome.create_table!(store, :scores, :to_many)
      iex> Rhizome.insert_all!(scores, [{10, :ann}, {20, :bob}, {20, :cid}, {30, :dee}])
      iex> Rhizome.to_list(scores, from: 20, limit: 2)
      [{20, :bob}, {20, :cid}]
      iex> Rhizome.to_list(scores, after: {20, :bob}, before: 30)
      [{20, :cid}]
      iex> Rhizome.to_list(scores, reverse: true, beyond: 30)
      [{20, :cid}, {20, :bob}, {10, :ann}]

  A range starts where the walk starts: with `reverse: true`, `:from` is its
  upper end. At most one of `:from`, `:beyond`, `:after` and `:position` says
  where, and one of `:to` and `:before` where it ends.

  ## Options

  #{Options.docs(:walk)}
  """
  @spec to_list(view(), keyword()) :: [element()]
  def to_list(view, options \\ []) do
    view |> Scan.new(Options.validate!(options, :walk)) |> Scan.to_list()
  end

  @doc """
  The distinct keys of a side, in order. Takes the options of `to_list/2`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.insert_all!(owns, [{:ann, :sword}, {:ann, :bow}, {:bob, :axe}])
      iex> Rhizome.keys(owns)
      [:ann, :bob]

  """
  @spec keys(view(), keyword()) :: [term()]
  def keys(view, options \\ []), do: list(view, :keys, options)

  @doc """
  The partner or value of each element of a side, in the order of the elements.
  Takes the options of `to_list/2`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.insert_all!(owns, [{:ann, :sword}, {:ann, :bow}, {:bob, :axe}])
      iex> Rhizome.values(owns)
      [:bow, :sword, :axe]

  """
  @spec values(view(), keyword()) :: [term()]
  def values(view, options \\ []), do: list(view, :values, options)

  @doc """
  One page of a view and a cursor for the next; see `Rhizome.Page`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5, 7])
      iex> {:ok, page} = Rhizome.page(primes, limit: 3)
      iex> page.items
      [2, 3, 5]
      iex> Rhizome.page!(primes, limit: 3, cursor: page.next)
      %Rhizome.Page{items: [7], next: nil}

  `:to`, `:before`, `:reverse` and `:what` have to be the same for each page;
  where to start is said for the first one only, by `:from` and its like. A page of large items
  may hold fewer than `:limit` while there are more.

  ## Options

  #{Options.docs(:page)}
  """
  @spec page(view(), keyword()) :: result(Page.t())
  def page(view, options \\ []) do
    options = Options.validate!(options, :page)
    view |> Scan.new(options) |> Scan.page()
  end

  @doc "`page/2` that returns the page or raises the error."
  @spec page!(view(), keyword()) :: Page.t()
  def page!(view, options \\ []), do: unwrap!(page(view, options))

  @doc """
  A lazy stream of a view or of a range of it, asked for page by page.

  It is live: what lies ahead is seen as it is when its page is asked for,
  nothing is seen twice, and deleting what was just returned skips nothing. It
  holds nothing in the daemon and may be left at any point. One of a snapshot shows the
  state of that, and has to be used up while that is there: behind `with_snapshot/3` it
  raises `:no_snapshot`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5, 7])
      iex> primes |> Rhizome.stream(reverse: true) |> Enum.take(2)
      [7, 5]

  ## Options

  #{Options.docs(:stream)}
  """
  @spec stream(view(), keyword()) :: Enumerable.t()
  def stream(view, options \\ []) do
    view |> Scan.new(Options.validate!(options, :stream)) |> Scan.stream()
  end

  ## Snapshots and forks

  @doc """
  Takes a snapshot of the whole store, in one round trip and a time that does not depend
  on what the store holds. See `Rhizome.Snapshot`.

  Errors: `:snapshot_limit` when as many as `:max_snapshots` are open, `:no_memory`,
  `:memory_limit`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> {:ok, snapshot} = Rhizome.snapshot(store)
      iex> Rhizome.insert!(primes, 2)
      iex> {Rhizome.count(primes, at: snapshot), Rhizome.count(primes)}
      {0, 1}

  ## Options

  #{Options.docs(:call)}
  """
  @spec snapshot(store(), keyword()) :: result(Snapshot.t())
  def snapshot(store, options \\ []) do
    Snapshot.take(Version.store!(store, "snapshot"), options)
  end

  @doc "`snapshot/2` that returns the snapshot or raises the error."
  @spec snapshot!(store(), keyword()) :: Snapshot.t()
  def snapshot!(store, options \\ []), do: unwrap!(snapshot(store, options))

  @doc """
  Calls `fun` with a snapshot that is released behind it, and returns what it returns.

  Raises the errors of `snapshot/2`. A lazy stream that `fun` returns finds no snapshot any
  more: use it up in there, with `Enum`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5])
      iex> Rhizome.with_snapshot(store, fn snapshot ->
      ...>   for n <- Rhizome.on(primes, snapshot), do: Rhizome.delete!(primes, n)
      ...>   Enum.to_list(Rhizome.on(primes, snapshot))
      ...> end)
      [2, 3, 5]

  """
  @spec with_snapshot(store(), (Snapshot.t() -> result), keyword()) :: result when result: term()
  def with_snapshot(store, fun, options \\ []) do
    unless is_function(fun, 1) do
      raise ArgumentError, "expected a function that takes a snapshot, got: #{inspect(fun)}"
    end

    snapshot = snapshot!(Version.store!(store, "with_snapshot"), options)

    try do
      fun.(snapshot)
    after
      release(snapshot)
    end
  end

  @doc """
  Gives a snapshot or a fork back. What it is asked from then on fails with `:no_snapshot`.

  It is sent and not waited for, and right for one that is gone already.

      iex> {:ok, store} = Rhizome.start_link()
      iex> snapshot = Rhizome.snapshot!(store)
      iex> Rhizome.release(snapshot)
      :ok
      iex> {:error, error} = Rhizome.digest(snapshot)
      iex> error.code
      :no_snapshot

  """
  @spec release(Snapshot.t() | Fork.t()) :: :ok
  def release(version)

  def release(%module{owner: owner, name: name}) when module in [Snapshot, Fork] do
    Version.release(owner, name)
  end

  def release(other) do
    raise ArgumentError, "expected a snapshot or a fork, got: #{inspect(other)}"
  end

  @doc """
  Makes a fork of the whole store, or of a snapshot, in one round trip and a time that does
  not depend on what the store holds. See `Rhizome.Fork`.

  Errors: as of `snapshot/2`, and `:no_snapshot`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> {:ok, fork} = Rhizome.fork(store)
      iex> Enum.into([2, 3, 5], Rhizome.on(primes, fork)) |> Enum.count()
      3
      iex> Enum.count(primes)
      0
      iex> Rhizome.discard(fork)
      :ok

  ## Options

  #{Options.docs(:call)}
  """
  @spec fork(store() | Snapshot.t(), keyword()) :: result(Fork.t())
  def fork(store_or_snapshot, options \\ []), do: Fork.open(store_or_snapshot, options)

  @doc "`fork/2` that returns the fork or raises the error."
  @spec fork!(store() | Snapshot.t(), keyword()) :: Fork.t()
  def fork!(store_or_snapshot, options \\ []), do: unwrap!(fork(store_or_snapshot, options))

  @doc """
  Carries the changes of a fork over to the store, all or none, and ends the fork.

  Returns the seq of the store behind them, or that at which the fork began if there
  are none. It takes one round trip, and a time that grows with what was read and written in
  the fork.

  Errors: `:conflict` if what the fork has read was changed in the store meanwhile,
  with the `:table` and the `:key` in its details where they can be told, and without
  where they cannot; nothing is done then, and the fork is gone. `:too_big` if the fork was
  asked more than 64 MiB, in reads and writes; see `Rhizome.Fork`. `:no_snapshot`;
  `:memory_limit`, `:log_full`, after which the fork is as it was. And `:unknown_result` if
  the daemon was lost on the way.

      iex> {:ok, store} = Rhizome.start_link()
      iex> names = Rhizome.create_table!(store, :names, :to_one)
      iex> forks = for _each <- 1..2, do: Rhizome.fork!(store)
      iex> for fork <- forks, do: Rhizome.put_new!(Rhizome.on(names, fork), 1, "Ann")
      iex> [{:ok, 2}, {:error, error}] = Enum.map(forks, &Rhizome.commit/1)
      iex> {error.code, error.details[:table], error.details[:key]}
      {:conflict, :names, 1}

  ## Options

  #{Options.docs(:call)}
  """
  @spec commit(Fork.t(), keyword()) :: result(seq :: non_neg_integer())
  def commit(fork, options \\ []), do: Fork.commit(fork, options)

  @doc "`commit/2` that returns the seq or raises the error."
  @spec commit!(Fork.t(), keyword()) :: non_neg_integer()
  def commit!(fork, options \\ []), do: unwrap!(commit(fork, options))

  @doc """
  Throws a fork away, with all that was done there. It is `release/1`, for forks.

      iex> {:ok, store} = Rhizome.start_link()
      iex> fork = Rhizome.fork!(store)
      iex> Rhizome.create_table!(fork, :primes, :set)
      iex> Rhizome.discard(fork)
      :ok
      iex> Rhizome.tables(store)
      []

  """
  @spec discard(Fork.t()) :: :ok
  def discard(fork)
  def discard(%Fork{} = fork), do: release(fork)

  def discard(other) do
    raise ArgumentError, "expected a %Rhizome.Fork{}, got: #{inspect(other)}"
  end

  ## Transactions

  @doc """
  Calls `fun` with a `Rhizome.Transaction`, and commits what it does in there, all or
  nothing, as if it had been done in no time.

  Returns `{:ok, result}` with what `fun` returns, and `{:error, reason}` if it calls
  `abort/2`. If others have changed what it has read, it is called again. A request
  each and one for the commit; see `Rhizome.Transaction`.

  Errors: `:conflict` after `:max_retries`, with the last one's `:table` and `:key` where
  they can be told; those of `fork/2` and `commit/2`. Among these are `:snapshot_limit`, with
  which it fails at once when too many versions are open, and `:too_big` when the function
  has asked more than 64 MiB, in reads and writes.

      iex> {:ok, store} = Rhizome.start_link()
      iex> counters = Rhizome.create_table!(store, :counters, :to_one)
      iex> count = fn _n ->
      ...>   Rhizome.transaction(store, fn tx ->
      ...>     counters = Rhizome.on(counters, tx)
      ...>     Rhizome.put!(counters, :hits, Rhizome.get(counters, :hits, 0) + 1)
      ...>   end)
      ...> end
      iex> 1..8 |> Task.async_stream(count, max_concurrency: 8) |> Stream.run()
      iex> Rhizome.get(counters, :hits)
      8

  ## Options

  #{Options.docs(:transaction)}
  """
  @spec transaction(store(), (Transaction.t() -> result), keyword()) ::
          {:ok, result} | {:error, Error.t() | term()}
        when result: term()
  def transaction(store, fun, options \\ []), do: Transaction.run(store, fun, options)

  @doc """
  Ends a transaction without doing anything: `transaction/3` returns `{:error, reason}`.

  It never returns, as it throws.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.transaction(store, fn tx ->
      ...>   Rhizome.insert!(Rhizome.on(primes, tx), 2)
      ...>   Rhizome.abort(tx, :no_more)
      ...> end)
      {:error, :no_more}
      iex> Rhizome.count(primes)
      0

  """
  @spec abort(Transaction.t(), reason :: term()) :: no_return()
  def abort(transaction, reason), do: Transaction.abort(transaction, reason)

  ## Changes

  @doc """
  Has the calling process sent the changes of tables as they are committed, each
  with its seq. See `Rhizome.Subscription` for what is sent, and what to slow readers.

  `tables` are `:all`, or handles or names. A name may be that of a table that is not
  there yet, as one may be created later. With `from: seq` it begins with what was
  committed then, else with what is from now on.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> {:ok, %{ref: ref}} = Rhizome.subscribe(store, [primes])
      iex> Rhizome.insert!(primes, 2)
      iex> receive do
      ...>   {:rhizome, ^ref, {:changes, changes}} -> changes
      ...> end
      [%{seq: 2, changes: [{:primes, :insert, 2}]}]

  Errors: `:no_history` if the changes from there on are not known any more, or the seq is
  still to come.
  """
  @spec subscribe(store(), Subscription.tables(), keyword()) :: result(Subscription.t())
  defdelegate subscribe(store, tables, options \\ []), to: Subscription

  @doc """
  Ends a subscription. Of what it has sent nothing is left in the mailbox of the caller.

      iex> {:ok, store} = Rhizome.start_link()
      iex> {:ok, subscription} = Rhizome.subscribe(store, :all)
      iex> Rhizome.unsubscribe(subscription)
      :ok

  """
  @spec unsubscribe(Subscription.t()) :: :ok
  defdelegate unsubscribe(subscription), to: Subscription

  # A mutation that `:expect`s a seq, with the seq that it has led to: for
  # Rhizome.Handle. `op` comes from Rhizome.Op, `target` is a handle or a store.
  @doc false
  @spec expecting(view() | store(), tuple(), non_neg_integer(), keyword()) ::
          {:ok, result :: term(), seq :: non_neg_integer()} | {:error, Error.t()}
  def expecting(target, op, seq, options \\ [])

  def expecting(%module{store: store}, op, seq, options) when module in [Table, View] do
    expecting(store, op, seq, options)
  end

  def expecting(store, op, seq, options) do
    options = Options.validate!([expect: seq] ++ options, :mutation)

    case Client.request(store, Op.guarded(op, options), options[:timeout]) do
      {:ok, {seq, result}} -> {:ok, Op.result(op, result), seq}
      {:error, error} -> {:error, error}
    end
  end

  ## Helpers

  defp list(view, what, options) do
    view
    |> Scan.new(Map.put(Options.validate!(options, :walk), :what, what))
    |> Scan.to_list()
  end

  # Options in the place of the default would be taken for one, and the store itself
  # be read in silence. Other defaults pay nothing.
  defp check_default!([_one | _more] = default, [], schema, call) do
    Options.check_default!(default, schema, call)
  end

  defp check_default!(_default, _options, _schema, _call), do: :ok

  defp one(view, default, walk, options) do
    options = Options.validate!(walk ++ [limit: 1] ++ options, :walk)

    case view |> Scan.new(options) |> Scan.to_list() do
      [element] -> element
      [] -> default
    end
  end

  defp ask_rank!(view, element, options) do
    view = View.of(view)
    element = View.check_place!(view, element)
    ask!(view.store, {:rank, view.table, View.wire(view), element}, options)
  end

  # For this module and Rhizome.Graph: `options` are those of a mutation, and as a map
  # they are validated already.
  @doc false
  @spec mutate(tuple(), %{store: target()}, keyword() | map()) :: mutated(term())
  def mutate(op, %{store: store}, options) do
    with {:ok, result} <- send_mutation(op, store, options), do: {:ok, Op.result(op, result)}
  end

  # Calls without options are the common ones and pay nothing for them. In a
  # transaction this other one is.
  defp send_mutation(op, store, []), do: Client.request(store, op, nil)
  defp send_mutation(op, store, await: false), do: Transaction.later!(store, op)

  defp send_mutation(op, store, options) when is_map(options) do
    send_validated(op, store, options)
  end

  defp send_mutation(op, store, options) do
    send_validated(op, store, Options.validate!(options, :mutation))
  end

  defp send_validated(op, store, %{await: false} = options) do
    Transaction.later!(store, Op.guarded(op, options))
  end

  defp send_validated(op, store, options) do
    with {:ok, result} <- Client.request(store, Op.guarded(op, options), options[:timeout]) do
      {:ok, Op.strip(result, options)}
    end
  end

  defp ask!(store, op, options), do: unwrap!(read(store, op, options))

  # A read that takes no time worth watching.
  defp read(store, op, []), do: Client.request(store, op, nil)

  defp read(store, op, options) do
    {:ok, _target, answer} = read_at(store, op, options)
    answer
  end

  # The same for who has to know in what it was read.
  defp read_at(store, op, options) do
    options = Options.validate!(options, :read)
    target = Version.target(store, options)
    {:ok, target, Client.request(target, op, options[:timeout])}
  end

  # What only a store can be asked.
  defp request(store, op, []), do: Client.request(store, op, nil)

  defp request(store, op, options) do
    Client.request(store, op, Options.validate!(options, :call)[:timeout])
  end

  defp unwrap!(:ok), do: :ok
  defp unwrap!({:ok, result}), do: result
  defp unwrap!({:error, error}), do: raise(error)

  defp no_such_key(view, key) do
    message = "#{View.describe(view)} has no such key"
    Error.new(:not_found, message, %{table: view.table, key: key})
  end
end
