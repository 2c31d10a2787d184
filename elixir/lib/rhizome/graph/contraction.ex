defmodule Rhizome.Graph.Contraction do
  @moduledoc false
  # Contracting the groups of a result, all or none.
  #
  #     result at seq 40   --------- the graph is in use --------->  commit
  #     groups             fork of the head: is the graph as it was? contract there
  #
  # The result says what the graph was like (its digest) when it was computed. If that is
  # what it is like in the fork, the groups are still true there; and the commit of the
  # fork fails if it has changed meanwhile, for the digest is something that was read.

  alias Rhizome.{Batch, Error, Graph, Options, Table, Version}
  alias Rhizome.Graph.Result

  # Whose first column names a group of vertices.
  @grouping [:wcc, :scc, :cdlp, :louvain, :leiden, :k_core, :k1_coloring]

  # Groups in one request.
  @chunk 1_000

  @spec contract_all(Table.t(), Result.t() | list(), keyword()) :: Rhizome.result(map())
  def contract_all(graph, groups, options) do
    %Table{store: store} = Table.check_graph!(graph)
    options = Options.validate!(options, :contract_all)
    call = Map.to_list(Map.take(options, [:timeout]))
    check_source!(graph, groups)
    named = groups |> named(options) |> Enum.filter(&enough?(&1, options))

    if is_struct(store) do
      with :ok <- check_unchanged(graph, groups, call),
           :ok <- contract(graph, named, options, call) do
        {:ok, done(named, nil)}
      end
    else
      in_fork(graph, Version.store!(store, "contract_all"), groups, named, options, call)
    end
  rescue
    error in Error -> {:error, error}
  end

  defp in_fork(graph, store, groups, named, options, call) do
    with {:ok, fork} <- Rhizome.fork(store, call) do
      try do
        graph = Rhizome.on(graph, fork)

        with :ok <- check_unchanged(graph, groups, call),
             :ok <- contract(graph, named, options, call),
             {:ok, seq} <- Rhizome.commit(fork, call) do
          {:ok, done(named, seq)}
        end
      after
        Rhizome.discard(fork)
      end
    end
  end

  defp done(named, seq) do
    members = for {_name, members} <- named, reduce: 0, do: (sum -> sum + length(members))

    %{
      groups: length(named),
      members: members,
      seq: seq,
      super_vertices: for({name, _members} <- named, do: name)
    }
  end

  defp check_source!(%Table{name: name} = graph, %Result{source: source}) when source != name do
    raise ArgumentError,
          "the result is of #{inspect(source)}, and is to contract #{inspect(graph)}"
  end

  defp check_source!(_graph, %Result{algorithm: algorithm}) when algorithm not in @grouping do
    raise ArgumentError,
          "the result is of #{algorithm}, whose rows name no groups; " <>
            "those of #{inspect(@grouping)} do"
  end

  defp check_source!(_graph, %Result{first_rows: true}) do
    raise ArgumentError,
          "the result has the first rows of an order alone, and so perhaps parts of groups"
  end

  defp check_source!(_graph, %Result{}), do: :ok
  defp check_source!(_graph, groups) when is_list(groups), do: :ok

  defp check_source!(_graph, other) do
    raise ArgumentError,
          "expected a %Rhizome.Graph.Result{} or a list of {super_vertex, members}, got: " <>
            inspect(other)
  end

  defp check_unchanged(graph, %Result{digest: digest} = result, call) when digest != nil do
    if Graph.digest(graph, call) == Base.encode16(digest, case: :lower) do
      :ok
    else
      message = "the graph has changed since the result was computed"
      details = Map.merge(%{table: graph.name, expected: result.seq}, seq(graph.store, call))
      {:error, Error.new(:conflict, message, details)}
    end
  end

  defp check_unchanged(_graph, _groups, _call), do: :ok

  # That of the store now, with which the changes in between can be looked up.
  defp seq(version, call) do
    case Rhizome.info(Version.store(version), call) do
      %{seq: seq} -> %{seq: seq}
      _unknown -> %{}
    end
  end

  # {super-vertex, members}, in the order in which the groups first appear.
  defp named(%Result{} = result, options) do
    name = Map.get(options, :name, fn group, _members -> {:group, group} end)

    for {group, members} <- grouped(result), do: {name.(group, members), members}
  end

  defp named(groups, _options) do
    for group <- groups do
      case group do
        {_super_vertex, members} when is_list(members) -> group
        other -> raise ArgumentError, "a group is {super_vertex, members}, got: #{inspect(other)}"
      end
    end
  end

  # A row begins with its vertex and that one's group.
  defp grouped(result) do
    {order, groups} =
      Enum.reduce(result, {[], %{}}, fn row, {order, groups} ->
        group = elem(row, 1)
        vertex = elem(row, 0)

        case groups do
          %{^group => members} -> {order, %{groups | group => [vertex | members]}}
          _new -> {[group | order], Map.put(groups, group, [vertex])}
        end
      end)

    for group <- Enum.reverse(order), do: {group, Enum.reverse(groups[group])}
  end

  defp enough?({_name, members}, %{min_members: least}), do: length(members) >= least

  defp contract(graph, named, options, call) do
    rules = Map.to_list(Map.take(options, [:value, :edges, :loops]))

    named
    |> Enum.chunk_every(@chunk)
    |> Enum.reduce_while(:ok, fn chunk, :ok ->
      batch =
        Enum.reduce(chunk, Batch.new(), fn {name, members}, batch ->
          Batch.contract(batch, graph, name, members, rules)
        end)

      case Rhizome.run(graph.store, batch, call) do
        {:ok, _changes} -> {:cont, :ok}
        {:error, error} -> {:halt, {:error, error}}
      end
    end)
  end
end
