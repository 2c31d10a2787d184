defmodule Rhizome.Subscription do
  @moduledoc """
  The changes of a store, told to a process as they are committed.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> {:ok, subscription} = Rhizome.subscribe(store, [owns], from: :now)
      iex> Rhizome.put!(owns, :ann, :sword)
      iex> Rhizome.put!(owns, :bob, :sword)
      iex> ref = subscription.ref
      iex> receive do
      ...>   {:rhizome, ^ref, {:changes, [first | _more]}} -> first
      ...> end
      %{seq: 2, changes: [{:owns, :insert, {:ann, :sword}}]}
      iex> Rhizome.unsubscribe(subscription)
      :ok

  ## Messages

  The process that called `Rhizome.subscribe/3` is sent

    * `{:rhizome, ref, {:changes, changes}}` - what was committed, in the order in
      which it was: a list of maps of a `:seq` and its `:changes`, see below. One
      message holds as many as there were.
    * `{:rhizome, ref, {:overflow, seq}}` - the subscriber was too slow, and what it
      has not been told is more than is kept for it. The subscription is over; `seq`
      is the first that was not told. To go on, subscribe again with `from: seq`, or,
      where that is answered with `:no_history`, read the tables and begin anew.
    * `{:rhizome, ref, {:down, reason}}` - the process of the store has ended, and the
      subscription with it. When the store is back, a store with a `:dir` goes on
      from the seq behind the last one that was told. With `{:relay, reason}` for a reason
      the store may be well, and it is the process in between (see "Life") that was
      killed or has failed.

  A change is one of

    * `{table, :insert, element}`
    * `{table, :delete, element}` - whatever the reason: deleted, evicted, replaced by
      another value, or gone by a cascade
    * `{table, :clear, count}`
    * `{table, :create, type}` and `{table, :drop, type}`

  in the order in which they happened. `table` is the name of the table, and an
  element is what its fwd side shows: `{key, value}` of rows, `{key, partner}`; of a graph it is
  `{:vertex, vertex, value, labels}`, `{:edge, from, to, label, value}`, or `{:contracted,
  super_vertex, what_it_stands_for}`. Seqs
  of which nothing concerns the tables are left out. Only what is committed is
  told, and under `sync: :always` only what is on the disk.

  Where nothing has concerned the tables for long, `%{seq: seq, changes: []}` may be told:
  there was nothing up to this seq, and whoever remembers where to go on goes on behind
  it. It comes when a checkpoint, or in memory only the bound of what is kept, has taken
  away what was told last, so that one can always subscribe again.

  ## Slow subscribers

  Nothing about a subscriber that does not keep up grows without a bound. When
  there are `:max_queue` messages in its mailbox, or 4 MiB of changes, no more are sent
  until it has read some. All messages count, from whomever they are, so a mailbox that is
  long for other reasons holds the feed back, too. The daemon keeps the latest 16 MiB of changes for all
  subscribers together, and reads what came before them from the log, of a store with
  a `:dir`. A subscriber that falls behind even that, in memory behind the 16 MiB and on
  the disk behind the last checkpoint, is told so by the overflow.

  ## Life

  A process of its own stands between the store and the subscriber, which is the
  one that the message queue limit is about. A subscription ends with its
  subscriber, wherever that is; it is not linked to it.
  """

  alias Rhizome.{Client, Error, Handle, Options, Relay, Table, View}

  @enforce_keys [:ref, :store, :tables, :seq, :relay, :subscriber, :owner, :watcher]
  defstruct [:ref, :store, :tables, :seq, :relay, :subscriber, :owner, :watcher]

  @typedoc """
  `:ref` is what its messages are marked with, `:seq` the seq of the store when it
  began, `:relay` the process that sends them and `:subscriber` the one that gets them. The
  others are internal.
  """
  @type t :: %__MODULE__{
          ref: reference(),
          store: Rhizome.store(),
          tables: :all | [Table.name()],
          seq: non_neg_integer(),
          relay: pid(),
          subscriber: pid(),
          owner: pid(),
          watcher: pid()
        }

  @typedoc "All tables, or some, by their handles or names. They may be created later."
  @type tables :: :all | Table.t() | View.t() | [Table.t() | View.t() | Table.name()]

  @type change ::
          {Table.name(), :insert | :delete, element :: term()}
          | {Table.name(), :clear, count :: non_neg_integer()}
          | {Table.name(), :create | :drop, Table.type()}

  @typedoc "What one seq changed; or `[]`, if nothing that concerns the tables came up to it."
  @type changes :: %{seq: pos_integer(), changes: [change()]}

  # How long a stream waits before it looks for its store again.
  @look_again 50

  @doc """
  Subscribes the calling process to the changes of `tables`: see above for what it is
  sent. `Rhizome.subscribe/3` is the same.

  A name of which there is no table is no error: one may be created later, and is told
  from then on. So a misspelt one is told nothing; handles are the safer choice.

  Errors: `:no_history` if the changes from `:from` on are not known. Those since the last
  checkpoint are, of a store with a `:dir`. Otherwise they are kept from the first
  subscription on, and for a minute behind the last one, as far as they fit into
  16 MiB. `details.oldest` is the first seq that is known. It is the same error if `:from`
  is a seq that is still to come, beyond the next one; its message says so.

  ## Options

  #{Options.docs(:subscribe)}
  """
  @spec subscribe(Rhizome.store(), tables(), keyword()) :: {:ok, t()} | {:error, Error.t()}
  def subscribe(store, tables, options \\ []) do
    start(store, names!(store, tables), Options.validate!(options, :subscribe))
  end

  @doc """
  Ends a subscription. When it returns, nothing more comes from it, and if it is called
  by the subscriber nothing is left of it in the mailbox. `Rhizome.unsubscribe/1` is the
  same.
  """
  @spec unsubscribe(t()) :: :ok
  def unsubscribe(%__MODULE__{} = subscription) do
    Relay.stop(subscription.relay, subscription.watcher)
    if subscription.subscriber == self(), do: flush(subscription.ref), else: :ok
  end

  def unsubscribe(other) do
    raise ArgumentError, "expected a %Rhizome.Subscription{}, got: #{inspect(other)}"
  end

  @doc """
  The changes of `tables` as an endless stream of maps of a `:seq` and its `:changes`.

      iex> dir = Path.join(System.tmp_dir!(), "rhizome-\#{System.os_time()}")
      iex> {:ok, store} = Rhizome.start_link(dir: dir)
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3])
      iex> changes = Rhizome.Subscription.stream(store, [primes], from: 1)
      iex> Enum.take(changes, 2)
      [
        %{seq: 1, changes: [{:primes, :create, :set}]},
        %{seq: 2, changes: [{:primes, :insert, 2}, {:primes, :insert, 3}]}
      ]

  The process that runs it subscribes when it starts and unsubscribes when it
  stops. It waits where there is nothing to be told. After an overflow it subscribes again
  from where it was, and so it does when the daemon was started again, for a store with
  a `:dir`, and when its relay was killed. Nothing is left out and nothing comes twice. What
  says only that there was nothing, with `changes: []`, is remembered and not passed on.

  Raises `Rhizome.Error` where it cannot go on: `:no_history` if what comes next is no
  longer known, which it always is when a store in memory only has ended, and
  `:stopped` if the store does not come back.

  ## Options

  #{Options.docs(:changes)}
  """
  @spec stream(Rhizome.store(), tables(), keyword()) :: Enumerable.t()
  def stream(store, tables, options \\ []) do
    options = Options.validate!(options, :changes)
    request = %{store: store, tables: names!(store, tables), options: options}

    Stream.resource(fn -> open!(request) end, &receive_changes/1, fn {_request, subscription} ->
      unsubscribe(subscription)
    end)
  end

  ## Streams

  # A store in memory only counts from 0 again when it is started again.
  defp open!(%{store: store} = request) do
    store_id = Rhizome.info(store, timeout(request)).store_id
    subscription = unwrap!(start(store, request.tables, request.options))
    next = if request.options.from == :now, do: subscription.seq + 1, else: request.options.from
    known = %{store_id: store_id, owner: subscription.owner, next: next}
    {Map.merge(request, known), subscription}
  end

  defp receive_changes({request, %{ref: ref} = subscription}) do
    receive do
      {:rhizome, ^ref, {:changes, changes}} ->
        next = List.last(changes).seq + 1
        {Enum.reject(changes, &(&1.changes == [])), {%{request | next: next}, subscription}}

      {:rhizome, ^ref, {:overflow, seq}} ->
        reopen!(%{request | next: seq})

      {:rhizome, ^ref, {:down, {:relay, _reason}}} ->
        reopen!(request)

      {:rhizome, ^ref, {:down, _reason}} when request.store_id == nil ->
        raise gone(request, "the store was in memory only, and has ended")

      {:rhizome, ^ref, {:down, _reason}} ->
        reopen!(request)
    end
  end

  # Elements of the stream, of which there are none, and its state.
  defp reopen!(request) do
    {[], {request, reopen!(request, deadline(request.options.patience))}}
  end

  # The store may be on its way up, or down again.
  defp reopen!(request, deadline) do
    with {:ok, store_id} <- store_id(request),
         :ok <- check_same!(request, store_id),
         {:ok, subscription} <- start(request.store, request.tables, resumed(request)) do
      check_owner!(request, subscription)
    else
      {:error, %Error{code: code} = error}
      when code in [:stopped, :daemon_down, :timeout, :overloaded] ->
        if over?(deadline), do: raise(error)
        Process.sleep(@look_again)
        reopen!(request, deadline)

      {:error, error} ->
        raise error
    end
  end

  defp resumed(request), do: %{request.options | from: request.next}

  defp store_id(request) do
    {:ok, Rhizome.info(request.store, timeout(request)).store_id}
  rescue
    error in Error -> {:error, error}
  end

  defp check_same!(%{store_id: store_id}, store_id), do: :ok
  defp check_same!(request, _id), do: raise(gone(request, "another store has its name by now"))

  # A store in memory only is one process, and no other has its seqs.
  defp check_owner!(%{store_id: nil, owner: owner} = request, subscription)
       when subscription.owner != owner do
    unsubscribe(subscription)
    raise gone(request, "the store was in memory only, and has ended")
  end

  defp check_owner!(_request, subscription), do: subscription

  defp timeout(request), do: Map.to_list(Map.take(request.options, [:timeout]))

  defp gone(request, why) do
    Error.new(:no_history, "#{why}; the changes from #{request.next} on are gone", %{})
  end

  defp deadline(:infinity), do: :infinity
  defp deadline(patience), do: System.monotonic_time(:millisecond) + patience

  # Atoms are greater than numbers.
  defp over?(deadline), do: System.monotonic_time(:millisecond) >= deadline

  ## Helpers

  defp start(store, tables, options) do
    ref = make_ref()

    request = %{
      ref: ref,
      store: store,
      tables: tables,
      from: options.from,
      max_queue: options.max_queue,
      timeout: options[:timeout]
    }

    case Relay.start(request) do
      {:ok, facts} ->
        known = %{ref: ref, store: store, tables: tables, subscriber: self()}
        {:ok, struct!(__MODULE__, Map.merge(facts, known))}

      {:error, %Error{code: :no_history, details: %{oldest: oldest}} = error}
      when is_integer(options.from) and oldest < options.from ->
        {:error, to_come(error, store, options)}

      {:error, error} ->
        {:error, error}
    end
  end

  # What is known begins before that, so it is the end that it lies beyond.
  defp to_come(error, store, options) do
    case Client.request(store, {:info}, options[:timeout]) do
      {:ok, %{seq: seq}} when seq + 1 < options.from ->
        %{error | message: "seq #{options.from} is not there yet; the next is #{seq + 1}"}

      _unknown ->
        %{error | message: "seq #{options.from} is not there yet"}
    end
  end

  defp flush(ref) do
    receive do
      {:rhizome, ^ref, _message} -> flush(ref)
    after
      0 -> :ok
    end
  end

  defp names!(_store, :all), do: :all
  defp names!(store, %module{} = one) when module in [Table, View], do: names!(store, [one])

  defp names!(_store, []) do
    raise ArgumentError, "a subscription to no tables, [], is told nothing; give some, or :all"
  end

  defp names!(store, [_one | _more] = tables) when length(tables) > 0 do
    tables |> Enum.map(&name!(store, &1)) |> Enum.uniq()
  end

  defp names!(_store, %_{} = other), do: no_table!(other)

  defp names!(_store, other) do
    raise ArgumentError, "expected :all, or a proper list of tables, got: #{inspect(other)}"
  end

  defp name!(store, %Table{store: same, name: name}), do: check_store!(store, same, name)
  defp name!(store, %View{store: same, table: name}), do: check_store!(store, same, name)
  defp name!(_store, %_{} = other), do: no_table!(other)
  defp name!(_store, name), do: name

  defp no_table!(%Handle{} = handle) do
    raise ArgumentError,
          "expected a table, a view or a name; of a handle give its :view, got: " <>
            inspect(handle)
  end

  defp no_table!(other) do
    raise ArgumentError, "expected a table, a view or a name, got: #{inspect(other)}"
  end

  defp check_store!(store, other, name) do
    if Client.same?(store, other) do
      name
    else
      raise ArgumentError,
            "the table is of store #{inspect(other)} and the subscription to #{inspect(store)}"
    end
  end

  defp unwrap!({:ok, result}), do: result
  defp unwrap!({:error, error}), do: raise(error)

  defimpl Inspect do
    def inspect(subscription, _options) do
      tables =
        case subscription.tables do
          :all -> "all tables"
          names -> Enum.map_join(names, ", ", &Kernel.inspect/1)
        end

      "#Rhizome.Subscription<#{tables}, from seq #{subscription.seq}, " <>
        "#{Kernel.inspect(subscription.store)}>"
    end
  end
end
