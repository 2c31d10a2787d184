defmodule Rhizome.ProtocolTest do
  use ExUnit.Case, async: true

  import Bitwise

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

  # The daemon writes atoms as small UTF-8 ones, which this VM may not do itself.
  test "answers to point reads come back as the VM decodes them" do
    values = [0, 255, 256, -1, 2_147_483_647, -2_147_483_648, 1 <<< 40, 1.5, "", "text"]
    values = values ++ [:none, :other, {1, "two"}, [1, 2], %{a: 1}, :binary.copy("x", 300)]

    atoms =
      for name <- ["none", "true", "false", "pong"], do: <<119, byte_size(name), name::binary>>

    results =
      for value <- values, prefix <- ["", <<104, 2, 119, 5, "value">>] do
        <<131, encoded::binary>> = :erlang.term_to_binary(value)
        prefix <> encoded
      end

    for result <- results ++ atoms do
      answer = <<131, 104, 2, 119, 2, "ok", result::binary>>
      assert Protocol.decode_answer(answer) === :erlang.binary_to_term(answer)
    end
  end

  defp decode(term), do: Protocol.decode_answer(:erlang.term_to_binary(term))
end
