defmodule Rhizome.Client do
  @moduledoc false
  # One request from the side of the caller: encode, call, decode, and every
  # way in which a call can fail made into a Rhizome.Error.

  alias Rhizome.{Error, Op, PortOwner, Protocol, Telemetry, Version}

  @type answer ::
          {:ok, term()}
          | {:ok, [term()], term()}
          | {:ok, [term()], term(), why :: atom()}
          | {:error, Error.t()}

  # What a request goes to: a store or a version of one.
  @type target :: GenServer.server() | Version.t()

  @spec request(target(), tuple(), timeout() | nil) :: answer()
  def request(version, op, timeout) when is_map(version) do
    Version.request(version, op, timeout)
  end

  def request(store, op, timeout) do
    encoded_op = Protocol.encode_op(op)

    if Telemetry.enabled?() do
      span(store, op, encoded_op, &PortOwner.request(&1, encoded_op, timeout))
    else
      store |> call(&PortOwner.request(&1, encoded_op, timeout)) |> decode(op)
    end
  end

  # A read that may take long. `limits` are options of `with` in PROTOCOL.md; the
  # time that it has comes from the timeout. It is cancelled if the caller dies.
  @spec read(target(), tuple(), map(), timeout() | nil) :: answer()
  def read(version, op, limits, timeout) when is_map(version) do
    Version.read(version, op, limits, timeout)
  end

  def read(store, op, %{progress: fun} = limits, timeout) do
    kind = {:long, limits |> Map.delete(:progress) |> Protocol.encode_limits()}
    encoded_op = Protocol.encode_op(op)

    ask = fn server ->
      request = PortOwner.send_request(server, encoded_op, timeout, kind)
      await_with_progress(request, fun)
    end

    if Telemetry.enabled?(),
      do: span(store, op, encoded_op, ask),
      else: store |> call(ask) |> decode(op)
  catch
    # A throw passes call/2, which knows exits for those of the store.
    {:rhizome_raised, kind, reason, stacktrace} -> :erlang.raise(kind, reason, stacktrace)
  end

  def read(store, op, limits, timeout) do
    request_of_kind(store, op, timeout, {:long, Protocol.encode_limits(limits)})
  end

  # How often one looks whether there is some progress while there is no answer.
  @look_every 50

  defp await_with_progress(request, fun) do
    answer = PortOwner.await_answer(request, @look_every)
    tell_progress(request, answer, fun)
    if answer == :timeout, do: await_with_progress(request, fun), else: answer
  end

  defp tell_progress(request, answer, fun) do
    receive do
      {:rhizome_progress, owner, id, done, total} ->
        try do
          fun.(done, total)
        catch
          kind, reason ->
            if answer == :timeout, do: end_run(request, owner, id)
            drop_progress()
            throw({:rhizome_raised, kind, reason, __STACKTRACE__})
        end

        tell_progress(request, answer, fun)
    after
      0 -> :ok
    end
  end

  # Its answer comes soon and is waited for: whatever it has said of its progress is
  # in the mailbox then.
  defp end_run(request, owner, id) do
    tell(owner, {:cancel, id})
    PortOwner.await_answer(request)
  catch
    :exit, _the_store_has_ended -> :ok
  end

  defp drop_progress do
    receive do
      {:rhizome_progress, _owner, _id, _done, _total} -> drop_progress()
    after
      0 -> :ok
    end
  end

  # Several short requests and then `op`, which may be a long read and then has
  # `limits`, in one round trip: the answers of the former and that of `op`. One that
  # fails does not stop those behind it.
  @spec ask_behind(pid(), [{tuple(), PortOwner.kind() | nil}], tuple(), map() | nil, timeout()) ::
          {[answer()], answer()}
  def ask_behind(owner, first, op, limits, timeout) do
    ids =
      for {op, kind} <- first do
        {op, PortOwner.send_request(owner, Protocol.encode_op(op), timeout, kind)}
      end

    await = fn ->
      for {op, id} <- ids do
        owner |> call_server(fn _owner -> PortOwner.await_answer(id) end) |> decode(op)
      end
    end

    try do
      if limits, do: read(owner, op, limits, timeout), else: request(owner, op, timeout)
    catch
      # By a function that was told of progress.
      kind, reason ->
        await.()
        :erlang.raise(kind, reason, __STACKTRACE__)
    else
      answer -> {await.(), answer}
    end
  end

  # A request that is carried out in its turn and for whose answer nobody waits.
  @spec tell(pid(), tuple()) :: :ok
  def tell(owner, op), do: PortOwner.tell(owner, Protocol.encode_op(op))

  defp request_of_kind(store, op, timeout, kind) do
    encoded_op = Protocol.encode_op(op)

    if Telemetry.enabled?() do
      span(store, op, encoded_op, &PortOwner.request(&1, encoded_op, timeout, kind))
    else
      store |> call(&PortOwner.request(&1, encoded_op, timeout, kind)) |> decode(op)
    end
  end

  defp span(store, op, encoded_op, fun) do
    Telemetry.request(store, Op.about(op), byte_size(encoded_op), fn ->
      reply = call(store, fun)
      {decode(reply, op), if(is_binary(reply), do: byte_size(reply), else: 0)}
    end)
  end

  ## What a process holds in the daemon

  # {holder, number}: PROTOCOL.md knows it as a version or a subscription. It is
  # held until it is released or the process dies.
  @type name :: {holder :: pos_integer(), number :: pos_integer()}

  # Sends the Op that `fun` makes of a new name; returns the answer with the owner,
  # to whom everything about what is held is to be sent, and the name.
  @spec hold(GenServer.server(), (name() -> tuple()), timeout() | nil) ::
          {answer(), {pid(), name()} | nil}
  def hold(store, fun, timeout) do
    hold(store, fn owner, {holder, _number} = name ->
      {request_of_kind(owner, fun.(name), timeout, {:holder, holder}), {owner, name}}
    end)
  end

  # The same for other ways of sending it: `fun` takes the owner and the name, sends
  # the Op as of the kind {:holder, holder} and returns a tuple that begins with its
  # answer. An error without more is that of a store that cannot be reached.
  def hold(store, fun) do
    case holder(store) do
      {:ok, {owner, holder}} ->
        result = fun.(owner, name(holder))
        if forgotten?(elem(result, 0)), do: hold_anew(owner, fun), else: result

      {:error, error} ->
        {{:error, error}, nil}
    end
  end

  # A process on another node may have seemed dead for a while.
  defp forgotten?({:error, %Error{details: %{reason: :unknown_holder}}}), do: true
  defp forgotten?(_answer), do: false

  defp hold_anew(owner, fun) do
    case ask_for_holder(owner) do
      {:ok, {owner, holder}} -> fun.(owner, name(holder))
      {:error, error} -> {{:error, error}, nil}
    end
  end

  defp name(holder), do: {holder, System.unique_integer([:positive])}

  # The number of this process with the store as it runs now: its owner, and the
  # number. It is remembered, as nothing of it changes while both live.
  @spec holder(GenServer.server()) :: {:ok, {pid(), pos_integer()}} | {:error, Error.t()}
  def holder(store) do
    server = whereis!(store)

    case holders() do
      %{^server => holder} -> {:ok, {server, holder}}
      _unknown -> ask_for_holder(store)
    end
  end

  defp ask_for_holder(store) do
    with {:ok, {owner, holder}} <- call(store, &PortOwner.holder/1) do
      gone =
        for {pid, _holder} <- holders(), node(pid) == node(), not Process.alive?(pid), do: pid

      Process.put(__MODULE__, holders() |> Map.drop(gone) |> Map.put(owner, holder))
      {:ok, {owner, holder}}
    end
  end

  defp holders, do: Process.get(__MODULE__, %{})

  # What the daemon said at its start of how it recovered.
  @spec recovered(GenServer.server()) :: {:ok, map() | :none} | {:error, Error.t()}
  def recovered(store), do: call(store, &PortOwner.recovered/1)

  # The owner does not know what it carries: whether it was a mutation, of which
  # one would have to know if it was carried out, is added here.
  defp decode({:error, %Error{code: code, details: %{outcome: :unknown}} = error}, op)
       when code in [:daemon_down, :stopped] do
    if Op.mutation?(op) do
      message = error.message <> "; the mutation may have been carried out or not"
      {:error, %{error | code: :unknown_result, message: message}}
    else
      {:error, error}
    end
  end

  # Not for users: a holder that is not known, see hold_anew/2.
  defp decode({:error, _error} = error, _op), do: error
  defp decode(answer, _op), do: Protocol.decode_answer(answer)

  # Calls `fun` with the process of the store.
  defp call(store, fun) do
    case whereis!(store) do
      nil ->
        {:error, Error.new(:stopped, nil, %{outcome: :not_sent})}

      {_name, node} = server ->
        if connected?(node),
          do: call_server(server, fun),
          else: {:error, unreachable(node, :not_sent)}

      pid ->
        call_server(pid, fun)
    end
  end

  defp call_server(server, fun) do
    fun.(server)
  catch
    :exit, {reason, {GenServer, :call, _arguments}} -> {:error, exit_error(reason)}
  end

  # A call to a node that cannot be reached ends as one to a node that was lost
  # on the way, and then nobody could tell whether it was sent.
  defp connected?(node), do: node in Node.list(:connected) or Node.connect(node) == true

  # Where a store is; raises ArgumentError if this cannot name one.
  @spec whereis!(GenServer.server()) :: pid() | {atom(), node()} | nil
  def whereis!(store) when is_pid(store), do: store

  def whereis!(name) when is_atom(name) and name not in [nil, true, false],
    do: Process.whereis(name)

  def whereis!({:global, _term} = name), do: GenServer.whereis(name)
  def whereis!({:via, module, _term} = name) when is_atom(module), do: GenServer.whereis(name)

  def whereis!({name, node} = server) when is_atom(name) and is_atom(node),
    do: GenServer.whereis(server)

  def whereis!(other) do
    raise ArgumentError, "expected a store, its pid or its name, got: #{inspect(other)}"
  end

  # Whether two ways of naming a store can mean the same one. A name on another
  # node is not looked up there.
  @spec same?(GenServer.server(), GenServer.server()) :: boolean()
  def same?(store, store), do: true

  def same?(one, other) do
    case {whereis!(one), whereis!(other)} do
      {store, store} -> true
      {{_name, node}, pid} when is_pid(pid) -> node(pid) == node
      {pid, {_name, node}} when is_pid(pid) -> node(pid) == node
      _different -> false
    end
  end

  defp unreachable(node, outcome) do
    message = "the store's node #{inspect(node)} cannot be reached"
    Error.new(:stopped, message, %{outcome: outcome, reason: :nodedown})
  end

  defp exit_error({:nodedown, node}), do: unreachable(node, :unknown)

  defp exit_error(reason) when reason in [:noproc, :normal, :shutdown] do
    outcome = if reason == :noproc, do: :not_sent, else: :unknown
    Error.new(:stopped, nil, %{outcome: outcome})
  end

  defp exit_error({:shutdown, _reason}) do
    Error.new(:stopped, nil, %{outcome: :unknown})
  end

  # The call came when the start had failed and nobody answered any more.
  defp exit_error(%Error{code: :start_failed, message: message, details: details}) do
    details = details |> Map.take([:reason, :dir]) |> Map.put(:outcome, :not_sent)
    Error.new(:stopped, "the store did not start: #{message}", details)
  end

  defp exit_error(:calling_self), do: exit(:calling_self)

  defp exit_error(reason) do
    Error.new(:daemon_down, "the store died (#{inspect(reason)})", %{outcome: :unknown})
  end
end
