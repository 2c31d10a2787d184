defmodule Rhizome.Client do
  @moduledoc false
  # One request from the side of the caller: encode, call, decode, and every
  # way in which a call can fail made into a Rhizome.Error.

  alias Rhizome.{Error, Op, PortOwner, Protocol, Telemetry}

  @type answer :: {:ok, term()} | {:ok, [term()], term()} | {:error, Error.t()}

  @spec request(GenServer.server(), tuple(), timeout() | nil) :: answer()
  def request(store, op, timeout) do
    encoded_op = Protocol.encode_op(op)

    if Telemetry.enabled?() do
      Telemetry.request(store, op, byte_size(encoded_op), fn ->
        reply = call(store, &PortOwner.request(&1, encoded_op, timeout))
        {decode(reply, op), if(is_binary(reply), do: byte_size(reply), else: 0)}
      end)
    else
      store |> call(&PortOwner.request(&1, encoded_op, timeout)) |> decode(op)
    end
  end

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
