defmodule Rhizome.Client do
  @moduledoc false
  # One request from the side of the caller: encode, call, decode, and every
  # way in which a call can fail made into a Rhizome.Error.

  alias Rhizome.{Error, PortOwner, Protocol, Telemetry}

  @type answer :: {:ok, term()} | {:ok, [term()], term()} | {:error, Error.t()}

  @spec request(GenServer.server(), tuple(), timeout() | nil) :: answer()
  def request(store, op, timeout) do
    encoded_op = Protocol.encode_op(op)

    if Telemetry.enabled?() do
      Telemetry.request(store, op, byte_size(encoded_op), fn ->
        reply = call(store, encoded_op, timeout)
        {decode(reply), if(is_binary(reply), do: byte_size(reply), else: 0)}
      end)
    else
      store |> call(encoded_op, timeout) |> decode()
    end
  end

  defp decode({:error, _error} = error), do: error
  defp decode(answer), do: Protocol.decode_answer(answer)

  defp call(store, encoded_op, timeout) do
    case GenServer.whereis(store) do
      nil ->
        {:error, Error.new(:stopped, nil, %{outcome: :not_sent})}

      server ->
        try do
          PortOwner.request(server, encoded_op, timeout)
        catch
          :exit, {reason, {GenServer, :call, _arguments}} -> {:error, exit_error(reason)}
        end
    end
  end

  defp exit_error(reason) when reason in [:noproc, :normal, :shutdown] do
    outcome = if reason == :noproc, do: :not_sent, else: :unknown
    Error.new(:stopped, nil, %{outcome: outcome})
  end

  defp exit_error({:shutdown, _reason}) do
    Error.new(:stopped, nil, %{outcome: :unknown})
  end

  defp exit_error(:calling_self), do: exit(:calling_self)

  defp exit_error(reason) do
    Error.new(:daemon_down, "the store died (#{inspect(reason)})", %{outcome: :unknown})
  end
end
