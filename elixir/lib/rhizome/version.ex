defmodule Rhizome.Version do
  @moduledoc false
  # What is common to snapshots, forks and transactions: they stand where a store
  # stands, in handles and as the first argument, and take requests as one does.
  #
  # A snapshot and a fork are names, {Holder, Number}, that one incarnation of the
  # store knows: requests go to the process of that one, with the name. What a
  # transaction is, it keeps to itself until its first request.

  alias Rhizome.{Client, Error, Fork, Op, Snapshot, Transaction, View}

  @type t :: Snapshot.t() | Fork.t() | Transaction.t()

  # What only a store has.
  @of_stores [:ping, :info, :sync, :checkpoint]

  defguard is_version(term)
           when is_struct(term, Snapshot) or is_struct(term, Fork) or is_struct(term, Transaction)

  # The store that it is a version of; a store is its own.
  @spec store(GenServer.server() | t()) :: GenServer.server()
  def store(version) when is_version(version), do: version.store
  def store(store), do: store

  # The same for a function that is for stores.
  @spec store!(GenServer.server() | t(), String.t()) :: GenServer.server()
  def store!(version, function) when is_version(version) do
    raise ArgumentError, "#{function} takes a store, got: #{inspect(version)}"
  end

  def store!(store, _function), do: store

  # The handle with the version that the options name.
  @spec at(View.t(), map()) :: View.t()
  def at(view, %{at: version}), do: %{view | store: instead!(view.store, version)}
  def at(view, _options), do: view

  # The same of what a request goes to.
  @spec target(GenServer.server() | t(), map()) :: GenServer.server() | t()
  def target(target, %{at: version}), do: instead!(target, version)
  def target(target, _options), do: target

  # The version that is to take the place of what the handle is bound to.
  @spec instead!(GenServer.server() | t(), t()) :: t()
  def instead!(target, version) do
    if Client.same?(store(target), version.store) do
      version
    else
      raise ArgumentError,
            "option :at must be a version of store #{inspect(store(target))}, " <>
              "got: #{inspect(version)}"
    end
  end

  # What a handle is bound to next, in place of `target`.
  @spec rebound!(GenServer.server() | t(), GenServer.server() | t()) :: GenServer.server() | t()
  def rebound!(target, other) do
    if Client.same?(store(target), store(other)) do
      other
    else
      raise ArgumentError,
            "the handle is of store #{inspect(store(target))}, and this is another one or a " <>
              "version of it: #{inspect(other)}"
    end
  end

  # Has the daemon make a snapshot or a fork. Where nobody knows whether it was made,
  # as when no answer came in time, it is given back: it would stay as long as its
  # process does.
  @spec open(GenServer.server(), (Client.name() -> tuple()), timeout() | nil) ::
          {:ok, term(), {pid(), Client.name()}} | {:error, Error.t()}
  def open(store, fun, timeout) do
    case Client.hold(store, fun, timeout) do
      {{:ok, answer}, held} ->
        {:ok, answer, held}

      {{:error, %Error{details: %{outcome: :unknown}} = error}, {owner, name}} ->
        release(owner, name)
        {:error, error}

      {{:error, error}, _held} ->
        {:error, error}
    end
  end

  @spec request(t(), tuple(), timeout() | nil) :: Client.answer()
  def request(version, op, timeout), do: send_op(version, op, nil, timeout)

  @spec read(t(), tuple(), map(), timeout() | nil) :: Client.answer()
  def read(version, op, limits, timeout), do: send_op(version, op, limits, timeout)

  defp send_op(version, op, _limits, _timeout)
       when is_version(version) and elem(op, 0) in @of_stores do
    store!(version, Atom.to_string(elem(op, 0)))
  end

  defp send_op(version, {:with, options, _op}, _limits, _timeout) when is_version(version) do
    no_options!(version, options)
  end

  defp send_op(%Transaction{} = transaction, op, limits, timeout) do
    Transaction.request(transaction, op, limits, timeout)
  end

  defp send_op(%Snapshot{} = snapshot, op, limits, timeout) do
    if Op.mutation?(op) do
      raise ArgumentError, "a snapshot is read-only, got: #{inspect(snapshot)}"
    else
      ask(snapshot, op, limits, timeout)
    end
  end

  defp send_op(%Fork{} = fork, op, limits, timeout), do: ask(fork, op, limits, timeout)

  defp send_op(other, _op, _limits, _timeout), do: Client.whereis!(other)

  # What a mutation of a store may depend on, and one of a version may not.
  @spec no_options!(t(), map()) :: no_return()
  def no_options!(version, options) do
    raise ArgumentError,
          "options #{inspect(Map.keys(options))} are for mutations of the store itself, " <>
            "got: #{inspect(version)}"
  end

  # With limits it is a read that may take long.
  defp ask(%{owner: owner, name: name}, op, nil, timeout) do
    answer(Client.request(owner, wire(name, op), timeout))
  end

  defp ask(%{owner: owner, name: name}, op, limits, timeout) do
    answer(Client.read(owner, op, Map.put(limits, :at, name), timeout))
  end

  # An Op at the version of this name.
  @spec wire(Client.name(), tuple()) :: tuple()
  def wire(name, op), do: {:with, %{at: name}, op}

  # A store that has ended has taken its versions along.
  @spec answer(Client.answer()) :: Client.answer()
  def answer({:error, %Error{code: :stopped, details: %{reason: :nodedown}}} = lost), do: lost

  def answer({:error, %Error{code: :stopped, details: details}}) do
    message = "the store has ended, and its snapshots and forks with it"
    {:error, Error.new(:no_snapshot, message, details)}
  end

  def answer(answer), do: answer

  # It is gone when the daemon comes to it; nobody waits for that.
  @spec release(pid(), Client.name()) :: :ok
  def release(owner, name), do: Client.tell(owner, {:release, name})

  # Whether a handle that was made for `one` can be used in what goes to `other`.
  # Handles of a store can be used with each of its versions, and not the other
  # way round.
  @spec fits?(GenServer.server() | t(), GenServer.server() | t()) :: boolean()
  def fits?(version, version), do: true
  def fits?(version, _other) when is_version(version), do: false
  def fits?(store, other), do: Client.same?(store, store(other))
end
