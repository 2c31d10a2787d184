defmodule Rhizome.Transaction do
  @moduledoc """
  What the function of `Rhizome.transaction/3` reads and writes in.

      iex> {:ok, store} = Rhizome.start_link()
      iex> accounts = Rhizome.create_table!(store, :accounts, :to_one)
      iex> Rhizome.insert_all!(accounts, ann: 10, bob: 0)
      iex> Rhizome.transaction(store, fn tx ->
      ...>   accounts = Rhizome.on(accounts, tx)
      ...>   anns = Rhizome.get(accounts, :ann)
      ...>   if anns < 5, do: Rhizome.abort(tx, :too_poor)
      ...>   Rhizome.put!(accounts, :ann, anns - 5)
      ...>   Rhizome.put!(accounts, :bob, Rhizome.get(accounts, :bob) + 5)
      ...>   :paid
      ...> end)
      {:ok, :paid}
      iex> Enum.to_list(accounts)
      [ann: 5, bob: 5]

  A transaction is a fork (`Rhizome.Fork`) that is made for the function and
  committed behind it. It stands wherever a store is expected: bind handles to it
  with `Rhizome.on/2`, or make them there with `Rhizome.table/2` and
  `Rhizome.handle/3`. What goes to the store itself, or to a handle that is not bound,
  is not part of it.

  ## What is promised

  Transactions are serialisable: those that are committed, and all other mutations
  of the store, have the outcome that they would have had one after another. Nobody
  is locked out meanwhile. At the commit the daemon looks whether what the function
  has read is still so, and if it is not, the function runs again in a new fork,
  after a random and growing pause of some milliseconds: it must not do what cannot be
  done twice, such as sending a mail. After `:max_retries` the answer is the last
  conflict, with its `:table` and `:key` in the details where they can be told.

  A transaction is one mutation: one seq, one record of the log, one notice for each
  subscriber. One that has not written anything never conflicts, and has no
  commit. With `read_only: true` it is a snapshot from the start and refuses mutations.

  ## Ends

    * The function returns: `{:ok, result}` behind the commit, whatever the result is.
    * `Rhizome.abort/2`: nothing is done, and the answer is `{:error, reason}`.
    * It raises, throws or exits: nothing is done, and that goes on to the caller.
    * It cannot go on, because the store has ended, the time of a request was up or
      the fork has become too old: `{:error, error}`, from where that was found out.
      If it is the commit that was on its way then, it may have been carried
      out: `:unknown_result`, or `:timeout`.

  The fork of a transaction counts among the `:max_snapshots` of the store. Where they are
  used up it fails with `:snapshot_limit` at once, and is not tried again.

  What it is asked, the reads as well as the writes, may have 64 MiB as for any
  fork (`Rhizome.Fork`); beyond that the commit fails with `:too_big`. Mutations with
  `await: false` that travel together are one request, and beyond the store's
  `:frame_bytes_max` that fails with `:too_big`, too.

  A transaction belongs to the process that began it, and to the time of its
  function. Whatever happens, it leaves nothing in the daemon.

  ## Round trips

  The fork is made together with the first request and costs none; a function that
  does not ask for anything makes no request at all. Each further request is
  one, and so is the commit, if anything was written. A mutation whose result does not matter needs none of its own
  with `await: false`: it returns `:ok`, and travels with the next request or the
  commit, in its turn. If it fails, so does the transaction, with its error.

      iex> {:ok, store} = Rhizome.start_link()
      iex> names = Rhizome.create_table!(store, :names, :to_one)
      iex> Rhizome.transaction(store, fn tx ->
      ...>   names = Rhizome.on(names, tx)
      ...>   :ok = Rhizome.put(names, 1, "Ann", await: false)
      ...>   Rhizome.get(names, 1)
      ...> end)
      {:ok, "Ann"}

  """

  alias Rhizome.{Client, Error, Op, Options, Version}

  @enforce_keys [:store, :process, :reference]
  defstruct [:store, :process, :reference]

  @type t :: %__MODULE__{store: GenServer.server(), process: pid(), reference: reference()}

  # Between two attempts, in milliseconds: a random time up to 1, 2, 4 ...
  @pause_max 64

  # Answers after which the fork is gone, or nobody knows what is in it.
  @ends [:daemon_down, :unknown_result, :stopped, :no_snapshot, :timeout]

  # What a transaction is now, in the dictionary of its process:
  #
  #     held    nil, or {owner, name} of its fork, or snapshot
  #     later   mutations that nobody awaits and that are not sent yet, newest first
  #     wrote   whether a mutation has been sent
  #     failed  nil, or {:error, reason}: it goes on no more, whoever catches that
  #
  # and its options.

  ## The whole of it

  @doc false
  def run(store, fun, options) when is_function(fun, 1) do
    options = Options.validate!(options, :transaction)
    Client.whereis!(Version.store!(store, "transaction"))
    attempt(store, fun, options, 0)
  end

  def run(_store, other, _options) do
    raise ArgumentError, "expected a function that takes a transaction, got: #{inspect(other)}"
  end

  defp attempt(store, fun, options, retries) do
    transaction = %__MODULE__{store: store, process: self(), reference: make_ref()}

    put(transaction, %{
      held: nil,
      later: [],
      wrote: false,
      failed: nil,
      read_only: options.read_only,
      timeout: options[:timeout]
    })

    case carry_out(transaction, fun) do
      {:conflict, _error} when retries < options.max_retries ->
        pause(retries)
        attempt(store, fun, options, retries + 1)

      {:conflict, error} ->
        {:error, error}

      outcome ->
        outcome
    end
  end

  # The state of :rand is the caller's.
  defp pause(retries) do
    longest = min(@pause_max, Bitwise.bsl(1, min(retries, 10)))
    Process.sleep(:erlang.phash2({self(), make_ref()}, longest + 1))
  end

  defp carry_out(%{reference: reference} = transaction, fun) do
    result = fun.(transaction)
    commit(transaction, result)
  catch
    :throw, {__MODULE__, ^reference, reason} -> {:error, reason}
  after
    finish(transaction)
  end

  # Whatever the fork holds then is not wanted.
  defp finish(transaction) do
    with %{held: {owner, name}} <- Process.delete(key(transaction)) do
      Version.release(owner, name)
    end
  end

  @doc false
  @spec abort(t(), term()) :: no_return()
  def abort(%__MODULE__{} = transaction, reason) do
    fetch!(transaction)
    fail(transaction, reason)
  end

  def abort(other, _reason) do
    raise ArgumentError, "expected a %Rhizome.Transaction{}, got: #{inspect(other)}"
  end

  ## The commit

  defp commit(transaction, result) do
    case fetch!(transaction) do
      %{failed: {:error, reason}} ->
        {:error, reason}

      %{held: nil, later: []} ->
        {:ok, result}

      # Nothing was read, so there is nothing that could have changed.
      %{held: nil, later: later} = state ->
        with {:ok, _result} <- Client.request(transaction.store, together(later), state.timeout) do
          {:ok, result}
        end

      # What was read is one state, and that is all that there is to it.
      %{wrote: false, later: []} ->
        {:ok, result}

      state ->
        commit(transaction, state, result)
    end
  end

  defp commit(transaction, %{held: {owner, name}, later: later} = state, result) do
    op = {:commit, name, Enum.reverse(later)}

    case Version.answer(Client.request(owner, op, state.timeout)) do
      {:ok, _seq_and_answers} ->
        put(transaction, %{state | held: nil})
        {:ok, result}

      {:error, %Error{code: :conflict} = error} ->
        put(transaction, %{state | held: nil})
        {:conflict, error}

      {:error, error} ->
        {:error, error}
    end
  end

  ## Requests

  @doc false
  @spec request(t(), tuple(), map() | nil, timeout() | nil) :: Client.answer()
  def request(transaction, op, limits, timeout) do
    state = fetch!(transaction)
    state = if Op.mutation?(op), do: writing(transaction, state), else: state
    timeout = timeout || state.timeout

    case state do
      %{failed: {:error, reason}} -> fail(transaction, reason)
      %{held: nil, read_only: true} -> ask_opening(transaction, state, op, limits, timeout)
      %{held: nil} when limits != nil -> ask_opening(transaction, state, op, limits, timeout)
      %{held: nil} -> open_with(transaction, state, op, timeout)
      %{later: []} -> ask(transaction, state.held, op, limits, timeout)
      _later -> ask_behind(transaction, state, op, limits, timeout)
    end
  end

  # A mutation that travels with what comes next.
  @doc false
  @spec later!(t(), tuple()) :: :ok
  def later!(%__MODULE__{} = transaction, {:with, options, _op}) do
    Version.no_options!(transaction, options)
  end

  def later!(%__MODULE__{} = transaction, op) do
    state = check_writable!(transaction, fetch!(transaction))
    put(transaction, %{state | later: [op | state.later]})
    :ok
  end

  def later!(other, _op) do
    raise ArgumentError, "option :await is for transactions, got: #{inspect(other)}"
  end

  defp ask(transaction, {owner, name}, op, nil, timeout) do
    owner |> Client.request(Version.wire(name, op), timeout) |> answered(transaction)
  end

  defp ask(transaction, {owner, name}, op, limits, timeout) do
    owner |> Client.read(op, Map.put(limits, :at, name), timeout) |> answered(transaction)
  end

  defp ask_behind(transaction, %{held: {owner, name} = held} = state, op, limits, timeout) do
    first = [{Version.wire(name, together(state.later)), nil}]
    put(transaction, %{state | later: [], wrote: true})

    {[written], answer} =
      Client.ask_behind(owner, first, at(op, held, limits), at_limits(limits, held), timeout)

    with {:error, error} <- Version.answer(written), do: fail(transaction, error)
    answered(answer, transaction)
  end

  # The fork and its first request are one command of the protocol.
  defp open_with(transaction, %{later: later} = state, op, timeout) do
    opened =
      Client.hold(transaction.store, &{:fork, &1, :head, Enum.reverse(later, [op])}, timeout)

    case opened do
      {{:ok, {_seq, answers}}, held} ->
        put(transaction, opened(state, held))
        List.last(answers)

      {{:error, %Error{details: %{index: index}}}, _held} when index == length(later) ->
        # The fork went with the error. It is one of what the transaction has read,
        # so it has to come from the fork that is committed.
        ask_opening(transaction, state, op, nil, timeout)

      {{:error, error}, held} ->
        give_up(transaction, held, error)
    end
  end

  # In the same round trip, but as two commands.
  defp ask_opening(transaction, %{later: later} = state, op, limits, timeout) do
    opened =
      Client.hold(transaction.store, fn owner, {holder, _number} = name ->
        held = {owner, name}

        opening =
          if state.read_only,
            do: {:snapshot, name},
            else: {:fork, name, :head, Enum.reverse(later)}

        first = [{opening, {:holder, holder}}]

        {[opened], answer} =
          Client.ask_behind(owner, first, at(op, held, limits), at_limits(limits, held), timeout)

        {opened, answer, held}
      end)

    case opened do
      {{:ok, _seq}, answer, held} ->
        put(transaction, opened(state, held))
        answered(answer, transaction)

      {{:error, error}, _answer, held} ->
        give_up(transaction, held, error)

      {{:error, error}, nil} ->
        fail(transaction, error)
    end
  end

  defp opened(%{later: later} = state, held) do
    %{state | held: held, later: [], wrote: state.wrote or later != []}
  end

  # A short Op goes with its version, a long one has it among its limits.
  defp at(op, {_owner, name}, nil), do: Version.wire(name, op)
  defp at(op, _held, _limits), do: op

  defp at_limits(nil, _held), do: nil
  defp at_limits(limits, {_owner, name}), do: Map.put(limits, :at, name)

  # Several mutations are one, so that the first error is told.
  defp together([op]), do: op

  defp together(later) do
    ops = later |> Enum.reverse() |> Enum.flat_map(&List.wrap(unbatched(&1)))
    {:batch, ops}
  end

  defp unbatched({:batch, ops}), do: ops
  defp unbatched(op), do: op

  defp answered(answer, transaction) do
    case Version.answer(answer) do
      {:error, %Error{code: code} = error} when code in @ends -> fail(transaction, error)
      answer -> answer
    end
  end

  # Whether the fork was made is not known if no answer came in time.
  defp give_up(transaction, held, error) do
    put(transaction, %{fetch!(transaction) | held: held})
    fail(transaction, error)
  end

  defp fail(transaction, reason) do
    put(transaction, %{fetch!(transaction) | failed: {:error, reason}})
    throw({__MODULE__, transaction.reference, reason})
  end

  ## State

  defp fetch!(%__MODULE__{process: process} = transaction) when process == self() do
    case Process.get(key(transaction)) do
      nil ->
        raise ArgumentError,
              "this is over, and its function has returned: #{inspect(transaction)}"

      state ->
        state
    end
  end

  defp fetch!(transaction) do
    raise ArgumentError,
          "#{inspect(transaction)} belongs to #{inspect(transaction.process)}, which runs its " <>
            "function; other processes cannot use it"
  end

  defp check_writable!(transaction, %{read_only: true}) do
    raise ArgumentError,
          "a transaction with read_only: true, got a mutation: #{inspect(transaction)}"
  end

  defp check_writable!(_transaction, state), do: state

  # It is noted before it is sent: whatever the answer is, it may have been done.
  defp writing(_transaction, %{wrote: true} = state), do: state

  defp writing(transaction, state) do
    state = %{check_writable!(transaction, state) | wrote: true}
    put(transaction, state)
    state
  end

  defp put(transaction, state), do: Process.put(key(transaction), state)
  defp key(transaction), do: {__MODULE__, transaction.reference}

  defimpl Inspect do
    def inspect(transaction, _options) do
      "#Rhizome.Transaction<#{Kernel.inspect(transaction.store)}>"
    end
  end
end
