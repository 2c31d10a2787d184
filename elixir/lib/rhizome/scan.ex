defmodule Rhizome.Scan do
  @moduledoc false
  # A walk over a range of a view, page by page. It is a value: what is left of
  # the walk is where it goes on and how many elements are still wanted.
  #
  # A page that a limit of the daemon has ended says so. A stream and whatever is
  # a page itself go on from there; a list is whole or an error, which says where it
  # has stopped.

  alias Rhizome.{Client, Condition, Error, Page, Version, View}

  defstruct [
    :view,
    :what,
    :direction,
    :from,
    :to,
    :page_size,
    :timeout,
    # options of `with`: :where, :rows and :memory
    limits: %{},
    # elements still wanted; :infinity is greater than every number
    left: :infinity
  ]

  # A request for so many at most is carried out at once and not on a worker:
  # nothing is gained by watching over it.
  @short 256

  @start_options [:from, :beyond, :after, :position, :cursor]
  @end_options [:to, :before]

  # `options` are validated by one of the schemas :walk, :stream and :page.
  def new(view, options) do
    view = Version.at(View.of(view), options)

    %__MODULE__{
      view: view,
      what: what!(view, Map.get(options, :what, :elements)),
      direction: if(options[:reverse], do: :desc, else: :asc),
      from: from(view, options),
      to: to(options),
      page_size: Map.get(options, :page_size, 1_000),
      left: Map.get(options, :limit, :infinity),
      timeout: options[:timeout],
      limits: limits(options)
    }
  end

  # The options of `with` that a read may have.
  @spec limits(map()) :: map()
  def limits(options)
      when is_map_key(options, :where) or is_map_key(options, :max_rows) or
             is_map_key(options, :max_memory) do
    for {name, value} <- options, limit = limit(name, value), into: %{}, do: limit
  end

  def limits(_options), do: %{}

  defp limit(:where, condition), do: {:where, Condition.wire!(condition)}
  defp limit(:max_rows, count), do: {:rows, count}
  defp limit(:max_memory, bytes), do: {:memory, bytes}
  defp limit(_name, _value), do: nil

  # Every page until the end, as one list.
  def to_list(scan), do: to_list(scan, [])

  defp to_list(scan, pages) do
    case next!(scan) do
      {items, nil, _why} when pages == [] -> items
      {items, nil, _why} -> Enum.concat(Enum.reverse([items | pages]))
      {items, next, nil} -> to_list(next, [items | pages])
      {items, next, why} -> to_list_behind(why, scan, next, [items | pages])
    end
  end

  # What had to be left for the next request is no loss.
  defp to_list_behind(:memory_budget, %{from: from}, %{from: behind} = next, pages)
       when behind != from do
    to_list(next, pages)
  end

  defp to_list_behind(why, _scan, next, pages), do: raise(stopped(why, next, pages))

  def stream(scan) do
    Stream.resource(
      fn -> scan end,
      fn
        nil -> {:halt, nil}
        scan -> scan |> next!() |> go_on(scan)
      end,
      fn _scan -> :ok end
    )
  end

  # There is no going on where a limit leaves no room for one step.
  defp go_on({items, %{from: from} = next, why}, %{from: from}) when why != nil do
    raise stopped(why, next, [items])
  end

  defp go_on({items, next, _why}, _scan), do: {items, next}

  defp stopped(why, scan, pages) do
    count = for page <- pages, reduce: 0, do: (count -> count + length(page))
    Error.new(why, nil, %{table: scan.view.table, next: scan.from, count: count})
  end

  # The next items, the walk behind them, nil at its end, and the limit, if one
  # has ended the page.
  def next!(%{left: 0}), do: {[], nil, nil}

  def next!(scan) do
    case request(scan, min(scan.left, scan.page_size)) do
      {:ok, items, :done} -> {items, nil, nil}
      {:ok, items, next} -> {items, advance(scan, items, next), nil}
      {:ok, items, next, why} -> {items, advance(scan, items, next), why}
      {:error, error} -> raise error
    end
  end

  defp advance(%{left: :infinity} = scan, _items, next), do: %{scan | from: next}

  defp advance(scan, items, next) do
    case scan.left - length(items) do
      0 -> nil
      left -> %{scan | from: next, left: left}
    end
  end

  # One page and a cursor. The daemon may end a page before the limit, when
  # its items are large: that is still a page.
  def page(scan) do
    case request(scan, scan.left) do
      {:ok, items, :done} -> {:ok, %Page{items: items, next: nil}}
      {:ok, items, next} -> {:ok, %Page{items: items, next: next}}
      {:ok, items, next, why} -> {:ok, %Page{items: items, next: next, stopped: why}}
      {:error, error} -> {:error, error}
    end
  end

  # A read that was ended before its first element goes on where it would have
  # begun, and a count behind a large element by position.
  defp cursor!(:none), do: :none

  defp cursor!({place, _where} = cursor) when place in [:after, :after_key, :incl, :excl, :pos],
    do: cursor

  defp cursor!(other) do
    raise ArgumentError,
          "option :cursor must be the :next of a %Rhizome.Page{}, got: #{inspect(other)}"
  end

  defp request(%{view: view} = scan, limit) do
    op =
      {:scan, view.table, View.wire(view), scan.what, scan.direction, scan.from, scan.to, limit}

    if limit <= @short and scan.limits == %{},
      do: Client.request(view.store, op, scan.timeout),
      else: Client.read(view.store, op, scan.limits, scan.timeout)
  end

  # From and To of the protocol. A key may be any term, nil included, so what
  # counts is whether an option is there.
  def from(view, options) do
    case one_of!(with_cursor(options), @start_options) do
      nil -> :none
      {:from, key} -> {:incl, key}
      {:beyond, key} -> {:excl, key}
      {:after, element} -> behind(view, View.check_place!(view, element))
      {:cursor, cursor} -> cursor!(cursor)
      {:position, position} -> {:pos, position}
    end
  end

  # Where a key has one row, the key says where that is.
  defp behind(view, element) do
    if View.element_kind(view) == :row, do: {:excl, element}, else: {:after, element}
  end

  # A cursor is a start like the others, unless it is the beginning.
  defp with_cursor(%{cursor: nil} = options), do: Map.delete(options, :cursor)
  defp with_cursor(options), do: options

  def to(options) do
    case one_of!(options, @end_options) do
      nil -> :none
      {:to, key} -> {:incl, key}
      {:before, key} -> {:excl, key}
    end
  end

  defp one_of!(options, names) do
    case for {name, value} <- options, name in names, do: {name, value} do
      [] -> nil
      [one] -> one
      many -> raise ArgumentError, "options #{inspect(Keyword.keys(many))} exclude each other"
    end
  end

  # A set and a held set have elements only: their keys or their values.
  defp what!(view, what) do
    case {what, View.element_kind(view)} do
      {:keys, :key} -> :elements
      {:values, :partner} -> :elements
      {:keys, :partner} -> nothing!(view, "keys")
      {:values, :key} -> nothing!(view, "values")
      {what, _kind} -> what
    end
  end

  defp nothing!(view, what) do
    raise ArgumentError, "#{View.describe(view)} has elements and no #{what}; use to_list/2"
  end
end
