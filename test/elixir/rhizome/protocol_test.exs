defmodule Rhizome.ProtocolTest do
  use ExUnit.Case, async: true

  alias Rhizome.Protocol

  test "a frame is the term that PROTOCOL.md describes" do
    ops = [{:ping}, {:insert, :t, {:fwd, "k"}, {1, 2.0}}]
    ids = [0, 255, 0x7FFF_FFFF, 0x8000_0000, 0x7FF_FFFF_FFFF_FFFF]

    for op <- ops, id <- ids do
      request = Protocol.request(id, Protocol.encode_op(op))
      frame = IO.iodata_to_binary(Protocol.frame([request, request], 2))
      assert :erlang.binary_to_term(frame) == [{id, op}, {id, op}]
      alone = IO.iodata_length(Protocol.frame(request, 1)) + 4
      assert alone <= byte_size(Protocol.encode_op(op)) + Protocol.overhead()
    end
  end

  test "ids wrap before they stop being small" do
    assert Protocol.next_id(0) == 1
    assert Protocol.next_id(0x7FF_FFFF_FFFF_FFFF) == 0
  end

  test "frames that are no list of replies are refused" do
    good = :erlang.term_to_binary([{1, "x"}])
    assert Protocol.decode_frame(good) == {:ok, [{1, "x"}]}

    for bad <- [
          "",
          "garbage",
          good <> "x",
          binary_part(good, 0, byte_size(good) - 1),
          :erlang.term_to_binary({1, "x"}),
          :erlang.term_to_binary(String.duplicate("a", 1_000), [:compressed])
        ] do
      assert Protocol.decode_frame(bad) == :error
    end
  end

  test "answers" do
    assert decode({:ok, :pong}) == {:ok, :pong}
    assert decode({:ok, [1], :done}) == {:ok, [1], :done}
    assert {:error, error} = decode({:error, {:no_table, "none", %{table: :t}}})
    assert %Rhizome.Error{code: :no_table, message: "none", details: %{table: :t}} = error
  end

  defp decode(term), do: Protocol.decode_answer(:erlang.term_to_binary(term))
end
