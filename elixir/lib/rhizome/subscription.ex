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
      from the seq behind the last one that was told.

  A change is one of

    * `{table, :insert, element}`
    * `{table, :delete, element}` - whatever the reason: deleted, evicted, replaced by
      another value, or gone by a cascade
    * `{table, :clear, count}`
    * `{table, :create, type}` and `{table, :drop, type}`

  in the order in which they happened. `table` is the name of the table, and an
  element is what its fwd side shows: `{key, value}` of rows, `{key, partner}`. Seqs
  of which nothing concerns the tables are left out. Only what is committed is
  told, and under `sync: :always` only what is on the disk.

  ## Slow subscribers

  Nothing about a subscriber that does not keep up grows without a bound. When
  there are `:max_queue` messages in its mailbox, or 4 MiB of changes, no more are sent
  until it has read some. The daemon keeps the latest 16 MiB of changes for all
  subscribers together, and reads what came before them from the log, of a store with
  a `:dir`. A subscriber that falls behind even that, in memory behind the 16 MiB and on
  the disk behind the last checkpoint, is told so by the overflow.

  ## Life

  A process of its own stands between the store and the subscriber, which is the
  one that the message queue limit is about. A subscription ends with its
  subscriber, wherever that is; it is not linked to it.
  """

  alias Rhizome.{Client, Error, Options, Relay, Table, View}

  @enforce_keys [:ref, :store, :tables, :seq, :relay, :subscriber]
  defstruct [:ref, :store, :tables, :seq, :relay, :subscriber]

  @typedoc """
  `:ref` is what its messages are marked with, `:seq` the seq of the store when it
  began, `:relay` the process that sends them and `:subscriber` the one that gets them.
  """
  @type t :: %__MODULE__{
          ref: reference(),
          store: Rhizome.store(),
          tables: :all | [Table.name()],
          seq: non_neg_integer(),
          relay: pid(),
          subscriber: pid()
        }

  @typedoc "All tables, or some, by their handles or names. They need not exist."
  @type tables :: :all | Table.t() | View.t() | [Table.t() | View.t() | Table.name()]

  @type change ::
          {Table.name(), :insert | :delete, element :: term()}
          | {Table.name(), :clear, count :: non_neg_integer()}
          | {Table.name(), :create | :drop, Table.type()}

  @typedoc "What one seq changed."
  @type changes :: %{seq: pos_integer(), changes: [change()]}

  # How long a stream waits before it looks for its store again.
  @look_again 50

  @doc """
  Subscribes the calling process to the changes of `tables`: see above for what it is
  sent. `Rhizome.subscribe/3` is the same.

  Errors: `:no_history` if the changes from `:from` on are not known. Those since the last
  checkpoint are, of a store with a `:dir`. Otherwise they are kept from the first
  subscription on, and for a minute behind the last one, as far as they fit into
  16 MiB. `details.oldest` is the first seq that is known.

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
    Relay.stop(subscription.relay)
    if subscription.subscriber == self(), do: flush(subscription.ref), else: :ok
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
  a `:dir`. Nothing is left out and nothing comes twice.

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
    {Map.merge(request, %{store_id: store_id, next: next}), subscription}
  end

  defp receive_changes({request, %{ref: ref} = subscription}) do
    receive do
      {:rhizome, ^ref, {:changes, changes}} ->
        {changes, {%{request | next: List.last(changes).seq + 1}, subscription}}

      {:rhizome, ^ref, {:overflow, seq}} ->
        reopen!(%{request | next: seq})

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
      subscription
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

    with {:ok, relay, seq} <- Relay.start(request) do
      {:ok,
       %__MODULE__{
         ref: ref,
         store: store,
         tables: tables,
         seq: seq,
         relay: relay,
         subscriber: self()
       }}
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

  defp names!(store, tables) when is_list(tables) do
    tables |> Enum.map(&name!(store, &1)) |> Enum.uniq()
  end

  defp names!(_store, other) do
    raise ArgumentError, "expected :all or a list of tables, got: #{inspect(other)}"
  end

  defp name!(store, %Table{store: same, name: name}), do: check_store!(store, same, name)
  defp name!(store, %View{store: same, table: name}), do: check_store!(store, same, name)
  defp name!(_store, name), do: name

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
