defmodule Rhizome.Executable do
  @moduledoc false
  # Which daemon to run. Asked at every start and never compiled in, because a
  # release moves to other machines.

  alias Rhizome.Error

  @spec find(Path.t() | nil) :: {:ok, Path.t()} | {:error, Error.t()}
  def find(option) do
    {source, path} =
      Enum.find(
        [
          {"the option :executable", option},
          {"RHIZOME_EXECUTABLE", non_empty(System.get_env("RHIZOME_EXECUTABLE"))},
          {"config :rhizome, :executable", Application.get_env(:rhizome, :executable)},
          {"the library's own priv directory", Application.app_dir(:rhizome, "priv/rhizome")}
        ],
        fn {_source, path} -> path end
      )

    path = Path.expand(path)

    if File.regular?(path) do
      {:ok, path}
    else
      message =
        "#{source} names #{path} as the daemon, which is no file; " <>
          "build it with `mix compile` or set RHIZOME_EXECUTABLE"

      {:error, Error.new(:start_failed, message, %{executable: path})}
    end
  end

  defp non_empty(""), do: nil
  defp non_empty(path), do: path
end
