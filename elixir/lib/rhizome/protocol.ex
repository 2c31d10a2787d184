defmodule Rhizome.Protocol do
  @moduledoc false
  # The wire of port_src/PROTOCOL.md, seen from the client.
  #
  # Work is divided so that one large term slows nobody else: the caller turns
  # its Op into bytes and the answer back into terms; the port's owner only
  # puts an id in front of the bytes and looks an id up. Both sides of that are
  # here:
  #
  #     caller   encode_op/1, encode_limits/1         decode_answer/1
  #     owner    limit/3, request/2, frame/2          decode_frame/1

  alias Rhizome.Error

  @version 1

  # The tags of the external term format that are written by hand.
  @etf 131
  @compressed 80
  @integer 98
  @small_integer 97
  @binary 109
  @small_atom 119
  @small_big 110
  @small_tuple 104
  @list 108
  @nil_tag 106
  @map 116

  # Bytes that a request adds to its Op, at most, and a frame of one to that:
  # tuple and id; length, version, list header and tail.
  @request_overhead 13
  @frame_overhead 11

  # Ids are small integers of the VM and wrap long before they stop being so.
  @id_max 0x7FF_FFFF_FFFF_FFFF

  # The time that the daemon gives a read which says nothing about it.
  @deadline_default 5_000

  @type id :: non_neg_integer()

  # The pairs of a map, encoded, and how many they are.
  @type limits :: {non_neg_integer(), binary()}

  def version, do: @version

  # What a request takes in the pipe beyond its Op, at most.
  def overhead, do: @request_overhead + @frame_overhead

  # An Op without the version byte, to be spliced into a frame.
  @spec encode_op(tuple() | atom() | integer()) :: binary()
  def encode_op(op) do
    <<@etf, encoded::binary>> = :erlang.term_to_binary(op)
    encoded
  end

  # The options of a read that may take long, without the time that it has.
  @spec encode_limits(map()) :: limits()
  def encode_limits(limits) when limits == %{}, do: {0, <<>>}

  def encode_limits(limits) do
    <<@etf, @map, count::32, pairs::binary>> = :erlang.term_to_binary(limits)
    {count, pairs}
  end

  # The Op with its limits and the time that it has.
  @spec limit(binary(), limits(), timeout()) :: iodata()
  def limit(encoded_op, {0, <<>>}, @deadline_default), do: encoded_op

  def limit(encoded_op, {count, pairs}, deadline) do
    [
      <<@small_tuple, 3, encode_op(:with)::binary, @map, count + 1::32>>,
      encode_op(:deadline),
      encode_op(deadline),
      pairs | encoded_op
    ]
  end

  @spec next_id(id()) :: id()
  def next_id(@id_max), do: 0
  def next_id(id), do: id + 1

  # {Id, Op}
  @spec request(id(), iodata()) :: iolist()
  def request(id, encoded_op) when id < 0x8000_0000 do
    [<<@small_tuple, 2, @integer, id::32>> | encoded_op]
  end

  def request(id, encoded_op) do
    [<<@small_tuple, 2, @small_big, 8, 0, id::little-64>> | encoded_op]
  end

  # [{Id, Op}, ...]
  @spec frame(iolist(), pos_integer()) :: iolist()
  def frame(requests, count) do
    [<<@etf, @list, count::32>>, requests, @nil_tag]
  end

  # The frames come from the daemon that we started, and an event that a newer
  # one sends may hold atoms that this VM has not: no `[:safe]`. A compressed
  # term could be of any size once unpacked and is never sent.
  @spec decode_frame(binary()) :: {:ok, [term()]} | :error
  def decode_frame(<<@etf, @compressed, _rest::binary>>), do: :error

  def decode_frame(<<@etf, _rest::binary>> = frame) do
    case :erlang.binary_to_term(frame, [:used]) do
      {replies, used} when is_list(replies) and used == byte_size(frame) -> {:ok, replies}
      _other -> :error
    end
  rescue
    ArgumentError -> :error
  end

  def decode_frame(_frame), do: :error

  # Section 5 of PROTOCOL.md.
  @spec exit_reason(non_neg_integer() | :unknown) :: term()
  def exit_reason(0), do: :normal
  def exit_reason(64), do: :usage
  def exit_reason(65), do: :protocol
  def exit_reason(70), do: :internal
  def exit_reason(71), do: :no_memory
  def exit_reason(74), do: :io
  def exit_reason(75), do: :locked
  def exit_reason(78), do: :log_refused
  def exit_reason(:unknown), do: :port_closed
  def exit_reason(status) when status > 128, do: {:signal, status - 128}
  def exit_reason(status), do: {:status, status}

  # Keys and values were written by this VM or by one that shares the store,
  # so their atoms may be new here: no `[:safe]`.
  @spec decode_answer(binary()) ::
          {:ok, term()}
          | {:ok, [term()], term()}
          | {:ok, [term()], term(), why :: atom()}
          | {:error, Error.t()}
  def decode_answer(<<@etf, @small_tuple, 2, @small_atom, 2, "ok", result::binary>> = answer) do
    case decode_result(result) do
      :other -> decode_any(answer)
      ok -> ok
    end
  end

  def decode_answer(<<@etf, tag, _rest::binary>> = answer) when tag != @compressed do
    decode_any(answer)
  end

  # The answers of most point reads. Each atom that binary_to_term/1 meets is looked up
  # in the VM's table of atoms, under a lock that all schedulers share: of what such a
  # read costs the VM that was a twentieth.
  defp decode_result(<<@small_tuple, 2, @small_atom, 5, "value", value::binary>>) do
    case value do
      <<@small_integer, integer>> -> {:ok, {:value, integer}}
      <<@integer, integer::signed-32>> -> {:ok, {:value, integer}}
      <<@binary, size::32, bytes::binary-size(size)>> -> {:ok, {:value, :binary.copy(bytes)}}
      _other -> :other
    end
  end

  defp decode_result(<<@small_atom, 4, "none">>), do: {:ok, :none}
  defp decode_result(<<@small_atom, 4, "true">>), do: {:ok, true}
  defp decode_result(<<@small_atom, 5, "false">>), do: {:ok, false}
  defp decode_result(<<@small_integer, integer>>), do: {:ok, integer}
  defp decode_result(<<@integer, integer::signed-32>>), do: {:ok, integer}
  defp decode_result(_other), do: :other

  defp decode_any(answer) do
    case :erlang.binary_to_term(answer) do
      {:ok, _result} = ok -> ok
      {:ok, items, _next} = page when is_list(items) -> page
      {:ok, items, _next, _why} = page when is_list(items) -> page
      {:error, {code, message, details}} -> {:error, Error.new(code, message, details)}
    end
  end
end
