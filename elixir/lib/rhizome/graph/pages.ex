defmodule Rhizome.Graph.Pages do
  @moduledoc false
  # What comes in pages: the vertices and edges of a graph, and the rows of a result.
  #
  # A page that a limit of the daemon has ended says where it goes on, and a stream
  # goes on there. There is no going on where a limit leaves no room for one step.

  alias Rhizome.{Client, Error}

  defstruct [
    :target,
    # the Op of a page, of where it begins and how many are wanted
    :op,
    :from,
    # what is said of an error: a map
    :about,
    :timeout,
    limits: %{},
    page_size: 1_000,
    # elements still wanted; :infinity is greater than every number
    left: :infinity
  ]

  @type t :: %__MODULE__{}

  @spec stream(t()) :: Enumerable.t()
  def stream(pages) do
    Stream.resource(fn -> pages end, &next/1, fn _pages -> :ok end)
  end

  defp next(nil), do: {:halt, nil}
  defp next(%{left: 0}), do: {:halt, nil}

  defp next(%{from: from} = pages) do
    case request(pages) do
      {:ok, items, :done} -> {items, nil}
      {:ok, items, next} -> {items, advance(pages, items, next)}
      {:ok, items, ^from, why} -> raise stopped(pages, items, why)
      {:ok, items, next, _why} -> {items, advance(pages, items, next)}
      {:error, error} -> raise error
    end
  end

  defp request(pages) do
    op = pages.op.(pages.from, min(pages.left, pages.page_size))
    Client.read(pages.target, op, pages.limits, pages.timeout)
  end

  defp advance(%{left: :infinity} = pages, _items, next), do: %{pages | from: next}

  defp advance(pages, items, next) do
    %{pages | from: next, left: pages.left - length(items)}
  end

  defp stopped(pages, items, why) do
    Error.new(why, nil, Map.merge(pages.about, %{count: length(items), next: pages.from}))
  end
end
