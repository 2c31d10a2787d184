defmodule Rhizome.GuideTest do
  # The guides run from top to bottom, and what their comments say is so.
  use Rhizome.Case, async: true

  @guides Path.expand("../../elixir/guides", __DIR__)

  @moduletag :tmp_dir
  @moduletag :capture_log

  test "every example of the first one" do
    start_store(name: MyStore)
    assert run("getting_started.md") > 8
  end

  test "every example of the one on durability", %{tmp_dir: tmp_dir} do
    start_store(name: MyStore, dir: Path.join(tmp_dir, "data"))
    assert run("durability.md") >= 8
  end

  defp run(guide) do
    blocks =
      for [_, code] <-
            Regex.scan(~r/```elixir\n(.*?)```/s, File.read!(Path.join(@guides, guide))),
          not (code =~ "def deps" or code =~ "children ="),
          do: code

    Enum.reduce(blocks, [], &run/2)
    length(blocks)
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
