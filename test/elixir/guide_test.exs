defmodule Rhizome.GuideTest do
  # The guide runs from top to bottom, and what its comments say is so.
  use Rhizome.Case, async: true

  @guide Path.expand("../../elixir/guides/getting_started.md", __DIR__)

  test "every example of the guide" do
    start_store(name: MyStore)

    blocks =
      for [_, code] <- Regex.scan(~r/```elixir\n(.*?)```/s, File.read!(@guide)),
          not (code =~ "def deps" or code =~ "children ="),
          do: code

    assert length(blocks) > 8
    Enum.reduce(blocks, [], &run/2)
  end

  # A line with a comment that is a term is checked; the binding is handed on.
  defp run(code, binding) do
    {_result, binding} = Code.eval_string(checked(code), binding)
    binding
  end

  defp checked(code) do
    code
    |> String.split("\n")
    |> Enum.map_join("\n", fn line ->
      with [call, expected] <- String.split(line, ~r/\s+# /, parts: 2),
           {:ok, _term} <- term(expected) do
        "#{inspect(__MODULE__)}.same!((#{call}), #{expected})"
      else
        _no_comment -> line
      end
    end)
  end

  defp term(text) do
    with {:ok, quoted} <- Code.string_to_quoted(text) do
      if Macro.quoted_literal?(quoted), do: {:ok, quoted}, else: :error
    end
  end

  def same!(found, expected), do: assert(found == expected)
end
